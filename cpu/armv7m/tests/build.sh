#!/bin/sh
# Rebuilds guest/*.bin from guest/*.s; needs binutils-arm-none-eabi.
set -e
cd "$(dirname "$0")/guest"
for s in *.s; do
    arm-none-eabi-as -mcpu=cortex-m3 -mthumb "$s" -o /tmp/guest.o
    arm-none-eabi-ld -Ttext 0 -e 0 /tmp/guest.o -o /tmp/guest.elf
    arm-none-eabi-objcopy -O binary /tmp/guest.elf "${s%.s}.bin"
done
