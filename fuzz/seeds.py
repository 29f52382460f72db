#!/usr/bin/env python3
"""Makes seeds out of what real clients said: golden transcripts of QMP and gdb, conversations of the qtest tests, and (with the path of a
built southbridge and gdb-multiarch installed) packets of gdb's own sessions.

    fuzz/seeds.py [SOUTHBRIDGE]

Seeds of `stream` are made by `cargo run -p southbridge-fuzz --example stream_seeds`: they need a machine.
"""

import glob
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def write(target, name, data):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def pieces(lines, most, size):
    """Consecutive lines, so many and so many bytes at most together."""
    piece, used = [], 0
    for line in lines:
        if piece and (len(piece) == most or used + len(line) + 1 > size):
            yield piece
            piece, used = [], 0
        if len(line) < size:
            piece.append(line)
            used += len(line) + 1
    if piece:
        yield piece


def after(mark, text):
    return [m.group(1) for m in re.finditer(rf"^\s*{re.escape(mark)} (.*)$", text, re.M)]


def qmp():
    # The first byte is the size of the chunks: one that cuts everything, an odd one, and all at once.
    chunks = (1, 7, 255)
    for path in sorted(glob.glob(f"{ROOT}/bin/southbridge/tests/qmp/*.txt")):
        name = os.path.basename(path)[:-4]
        for i, piece in enumerate(pieces(after(">", read(path)), 5, 900)):
            write("qmp", f"{name}-{i:02}", bytes([chunks[i % 3]]) + "\r\n".join(piece).encode())


def qtest():
    text = read(f"{ROOT}/qtest/src/tests.rs")
    for part in text.split("#[test]")[1:]:
        name = re.search(r"fn (\w+)", part).group(1)
        lines = [l for l in after(">", part) if len(l) < 80]
        for i, piece in enumerate(pieces(lines, 16, 900)):
            write("qtest", f"{name}-{i:02}", "\n".join(piece).encode())
    # A request a file, with its edges, for what no conversation has.
    edges = {
        "widths": [f"{op}{w} 0x4000c018" for op in ("read",) for w in "bwlq"],
        "writes": [f"write{w} 0x20000000 0xffffffffffffffff" for w in "bwlq"],
        "unaligned": ["readl 0x20000001", "writel 0x20000003 0x12345678", "readq 0x2000fffc", "readw 0x2000ffff"],
        "past-the-end": ["read 0x2000fff0 32", "write 0x2000fffe 4 0x01020304", "memset 0x2000fff8 16 0xaa", "read 0xffffffffffffffff 2"],
        "ports": ["inb 0x10", "inw 0x10", "inl 0x10", "outb 0x10 1", "outw 0x10 1", "outl 0x10 1"],
        "base64": ["b64write 0x20000000 4 3q2+7w==", "b64read 0x20000000 4", "b64write 0x20000000 4 !", "b64write 0x20000000 1 3q2+7w=="],
        "clock": ["clock_step", "clock_step 1", "clock_step -1", "clock_set 100", "clock_set 50", "clock_step 999999"],
        "timer": ["writel 0x4003000c 0", "writel 0x40030028 100", "writel 0x40030018 1", "writel 0x4003000c 1", "irq_intercept_in nvic", "clock_step"],
        "watchdog": ["writel 0x40000000 100", "writel 0x40000008 3", "clock_step 10000", "readl 0x40000010", "clock_step 10000"],
        "uart": ["irq_intercept_in /machine/armv7m/nvic", "writel 0x4000c030 0x301", "writel 0x4000c038 0x7ff", "writel 0x4000c000 0x41", "writel 0x4000c044 0x7ff"],
        "i2c": ["writel 0x40020020 0x10", "writel 0x40020000 0x7a", "writel 0x40020008 0x80", "writel 0x40020004 7", "readl 0x40020004"],
        "ssi": ["writel 0x40008004 2", "writel 0x40008008 0x9f", "readl 0x4000800c", "readl 0x40008008"],
        "gpio": ["irq_intercept_out gpio_a", "writel 0x40004400 0xff", "writel 0x400043fc 0x55", "set_irq_in gpio_a unnamed-gpio-in 3 1", "readl 0x400043fc"],
        "nvic": ["readl 0xe000ed00", "writel 0xe000e100 0xffffffff", "set_irq_in nvic unnamed-gpio-in 5 1", "readl 0xe000e200"],
        "words": ["", " ", "readl", "readl x", "writel 1", "nothing 1 2", "readl 0x 0x", "endianness now", "module_load a b"],
        "paths": ["irq_intercept_in /machine/nothing", "irq_intercept_out /machine/unattached/device[0]", "irq_intercept_out_named /machine x", "set_irq_in /a b 99999 -1"],
    }
    for name, lines in edges.items():
        write("qtest", name, "\n".join(lines).encode())


def gdb():
    for path in sorted(glob.glob(f"{ROOT}/cpu/gdb/src/snapshots/*.snap")):
        name = os.path.basename(path)[:-5].split("__")[-1]
        for i, piece in enumerate(pieces(after("->", read(path)), 16, 480)):
            write("gdb", f"{name}-{i:02}", "\n".join(piece).encode())


def gdb_live(program):
    """What gdb itself sends when it carries out the scripts of the acceptance tests."""
    scripts = {"look-and-step": "t-exceptions-mps2-an385", "stops": "t-exceptions-mps2-an385",
               "backwards": "t-exceptions-mps2-an385", "flash": "hello-lm3s6965evb"}
    for name, image in scripts.items():
        board = "lm3s6965evb" if image.endswith("lm3s6965evb") else "mps2-an385"
        with tempfile.TemporaryDirectory() as folder:
            packets = recorded(program, board, f"{ROOT}/firmware/prebuilt/{image}.elf", f"{ROOT}/bin/southbridge/tests/gdb/{name}.gdb", folder)
        seen, lines = set(), []
        for p in packets:
            # The same packet again and again teaches nothing.
            kind = (p[:2], len(lines) // 24)
            if b"\n" in p or (p in seen and kind[0] not in (b"vC", b"c", b"s", b"bc", b"bs")):
                continue
            seen.add(p)
            lines.append(p)
        for i, piece in enumerate(pieces(lines, 24, 480)):
            write("gdb", f"gdb-{name}-{i:02}", b"\n".join(piece))


def recorded(program, board, image, script, folder):
    target, front = f"{folder}/target", f"{folder}/front"
    machine = subprocess.Popen(
        [program, "-M", board, "-nographic", "-semihosting", "-serial", "null", "-pace", "skip", "-S", "-kernel", image,
         "-gdb", f"unix:{target},server=on,wait=off"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(front)
    listener.listen()
    client = subprocess.Popen(
        ["timeout", "60", "gdb-multiarch", "-nx", "-batch", "-ex", "set architecture arm", "-ex", f"target remote {front}", "-x", script, image],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    near, _ = listener.accept()
    far = socket.socket(socket.AF_UNIX)
    while not os.path.exists(target):
        pass
    far.connect(target)
    said = bytearray()

    def copy(a, b, keep):
        while data := a.recv(65536):
            if keep:
                said.extend(data)
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=copy, args=(far, near, False), daemon=True)
    back.start()
    try:
        copy(near, far, True)
    except OSError:
        pass
    client.wait()
    machine.kill()
    machine.wait()
    return [m.group(1) for m in re.finditer(rb"\$([^$#]*)#[0-9a-f]{2}", bytes(said))]


qmp()
qtest()
gdb()
if len(sys.argv) > 1:
    gdb_live(sys.argv[1])
