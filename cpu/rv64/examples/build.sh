#!/bin/sh
# Rebuilds coremark_like.bin; needs gcc-riscv64-unknown-elf.
set -e
cd "$(dirname "$0")"
riscv64-unknown-elf-gcc -march=rv64gc -mabi=lp64d -mcmodel=medany -O2 -ffreestanding -nostdlib -Wall -Wextra -Wl,--no-warn-rwx-segments -T link.ld \
    -o /tmp/coremark_like_rv64.elf coremark_like.c
riscv64-unknown-elf-objcopy -O binary -j .text /tmp/coremark_like_rv64.elf coremark_like.bin
