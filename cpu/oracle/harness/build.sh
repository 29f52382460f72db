#!/bin/sh
# Rebuilds harness.bin from harness.s; needs binutils-arm-none-eabi.
set -e
cd "$(dirname "$0")"
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
arm-none-eabi-as -mcpu=cortex-m3 -mthumb harness.s -o "$t/harness.o"
arm-none-eabi-ld -Ttext 0 -e 0 "$t/harness.o" -o "$t/harness.elf"
arm-none-eabi-objcopy -O binary "$t/harness.elf" harness.bin
