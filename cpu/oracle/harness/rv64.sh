#!/bin/sh
# Rebuilds rv64.bin from rv64.s; needs binutils-riscv64-unknown-elf.
set -e
cd "$(dirname "$0")"
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
riscv64-unknown-elf-as -march=rv64gc rv64.s -o "$t/rv64.o"
riscv64-unknown-elf-ld -Ttext 0x80000000 -e 0x80000000 "$t/rv64.o" -o "$t/rv64.elf"
riscv64-unknown-elf-objcopy -O binary "$t/rv64.elf" rv64.bin
