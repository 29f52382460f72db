#!/bin/sh
# Rebuilds coremark_like.bin; needs gcc-arm-none-eabi.
set -e
cd "$(dirname "$0")"
arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -O2 -ffreestanding -nostdlib -Wall -Wextra -T link.ld -o /tmp/coremark_like.elf coremark_like.c
arm-none-eabi-objcopy -O binary /tmp/coremark_like.elf coremark_like.bin
