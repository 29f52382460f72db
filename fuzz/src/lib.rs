//! Fuzz targets: any bytes in; no panic, no hang, no memory without bound.
//!
//! Each target is a plain function, so that it runs in three ways: under libFuzzer (`targets/`, `fuzz/run`), over its committed seeds
//! and some thousand mutations of them as an ordinary test (`tests/short.rs`), and on one input at a debugger. A target bounds its
//! work by counts (accesses, instructions, timer stops), never by the wall clock: a run that takes long is a finding.

mod board;
mod bytes;
mod command_line;
mod cpu;
mod device;
mod functions;
mod gdb;
mod hmp;
mod ivshmem;
pub mod mutate;
mod outside;
mod p9;
mod parts;
mod pci;
mod program;
mod virt;
mod virtio;
mod virtio_blk;
mod virtio_misc;
mod virtio_net;

pub use board::{board, board_state, firmware};
pub use command_line::{command_line, demo_file, option_lists};
pub use cpu::{cpu_code, cpu_registers};
pub use device::{device, device_state, skipped};
pub use gdb::gdb;
pub use hmp::hmp;
pub use ivshmem::ivshmem_pci;
pub use outside::{qmp, qtest, stream};
pub use p9::p9;
pub use parts::keys;
pub use pci::pci_config;
pub use program::{chardev, ivshmem_client, ivshmem_server, program};
pub use southbridge_backend_usernet::fuzz as usernet;
pub use virt::{device_tree, kernel, rv64_code, sbi};
pub use virtio::{virtio_keys, virtio_rings};
pub use virtio_blk::virtio_blk;
pub use virtio_misc::{virtio_balloon, virtio_input, virtio_serial, virtio_vsock};
pub use virtio_net::virtio_net;

/// A target.
pub struct Target {
    /// Name: of its program, its folder of seeds and its test.
    pub name: &'static str,
    /// What it does with one input.
    pub run: fn(&[u8]),
    /// Longest input worth trying, in bytes.
    pub longest: usize,
    /// One line for people.
    pub summary: &'static str,
}

/// All targets. `fuzz/run` reads this table, a target a line.
#[rustfmt::skip]
pub static TARGETS: &[Target] = &[
    target("command-line", command_line, 1024, "whole command lines, one word a line"),
    target("option-lists", option_lists, 512, "key=value lists, JSON, sizes and option files"),
    target("demo-file", demo_file, 1024, "files of 'southbridge up'"),
    target("ivshmem-client", ivshmem_client, 1024, "what a server may send to a client"),
    target("ivshmem-server", ivshmem_server, 1024, "peers that come, go and read at any pace"),
    target("program", program, 4096, "ELF, Intel HEX and raw files for -kernel"),
    target("chardev", chardev, 512, "telnet, the keys of the Ctrl-a menu, options of character back ends"),
    target("cpu-code", cpu_code, 1024, "any bytes as Thumb code, cut into slices in two ways that must agree"),
    target("cpu-registers", cpu_registers, 1024, "the processor's own registers, through its private bus"),
    target("gdb", gdb, 512, "packets of gdb on a machine that runs between them, backwards too"),
    target("hmp", hmp, 512, "keys and lines of the human monitor"),
    target("qmp", qmp, 1024, "the text of QMP clients, in chunks"),
    target("qtest", qtest, 1024, "qtest lines, carried out on a board"),
    target("stream", stream, 16384, "streams of saved machines, and recordings"),
    target("device", device, 1024, "each type of device through registers, lines, time, reset and its serial peer"),
    target("device-state", device_state, 512, "altered states loaded into each type of device"),
    target("pci-config", pci_config, 2048, "configuration space, bridges, BARs, messages, virtual functions, errors and hot-plug of PCI"),
    target("ivshmem-pci", ivshmem_pci, 1024, "ivshmem on PCI between a guest and a server that do what they like"),
    target("virtio-blk", virtio_blk, 602, "requests of virtio-blk against a model of what the disk holds"),
    target("virtio-net", virtio_net, 1024, "a driver of virtio-net and a host that do what they like"),
    target("virtio-rings", virtio_rings, 2048, "each virtio device through its rings, kept and broken"),
    target("virtio-input", virtio_input, 1024, "a driver of input devices and hands that do what they like"),
    target("virtio-serial", virtio_serial, 1024, "a driver of virtio-serial and programs at its ports"),
    target("virtio-balloon", virtio_balloon, 1024, "a driver of virtio-balloon that gives any pages"),
    target("virtio-vsock", virtio_vsock, 1024, "a driver of vhost-vsock and programs at the other ends"),
    target("usernet", usernet, 1024, "the NAT between a guest and a host that do what they like"),
    target("kernel", kernel, 4096, "kernel images for virt, plain and compressed"),
    target("device-tree", device_tree, 4096, "device trees of the user"),
    target("rv64-code", rv64_code, 1024, "any bytes as RV64 code, cut into slices in two ways that must agree"),
    target("sbi", sbi, 1024, "calls of the built-in firmware from two harts"),
    target("p9", p9, 1024, "9P messages to a server over a folder with ways out"),
    target("board", board, 1024, "both boards through their address space"),
    target("board-state", board_state, 256, "altered states loaded into whole boards"),
    target("firmware", firmware, 2048, "any bytes as the firmware of a whole board"),
];

const fn target(name: &'static str, run: fn(&[u8]), longest: usize, summary: &'static str) -> Target {
    Target {
        name,
        run,
        longest,
        summary,
    }
}

/// The target of that name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|t| t.name == name)
}
