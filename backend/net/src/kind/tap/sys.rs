//! The calls that make a descriptor of `/dev/net/tun` an interface. The one place in this crate that is not safe Rust: there is no
//! maintained crate that has just these calls, and `rustix` leaves the numbers and layouts of drivers' calls to its users.
//!
//! Numbers and layouts: Linux, `include/uapi/linux/if_tun.h` and `if.h` (`struct ifreq`).
#![allow(unsafe_code)]

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, Opcode, Updater, ioctl};

const TUNSETIFF: Opcode = 0x4004_54ca;
const TUNSETOFFLOAD: Opcode = 0x4004_54d0;
const TUNGETIFF: Opcode = 0x8004_54d2;
const TUNSETSNDBUF: Opcode = 0x4004_54d4;
#[cfg(test)]
const TUNGETVNETHDRSZ: Opcode = 0x8004_54d7;
const TUNSETQUEUE: Opcode = 0x4004_54d9;
const TUNSETVNETHDRSZ: Opcode = 0x4004_54d8;

/// Frames, not packets.
pub(super) const IFF_TAP: u16 = 2;
/// Several descriptors for one interface.
pub(super) const IFF_MULTI_QUEUE: u16 = 0x100;
/// For TUNSETQUEUE.
const IFF_ATTACH_QUEUE: u16 = 0x200;
const IFF_DETACH_QUEUE: u16 = 0x400;
/// No four bytes before each frame.
pub(super) const IFF_NO_PI: u16 = 0x1000;
/// What is left to do stands before each frame.
pub(super) const IFF_VNET_HDR: u16 = 0x4000;

/// `struct ifreq` as these calls use it: a name and flags. The kernel reads and writes 40 bytes of it on 64-bit hosts.
#[repr(C, align(8))]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<Request>() == 40);

impl Request {
    const fn new(name: [u8; 16], flags: u16) -> Self {
        let rest = [0; 22];
        Self { name, flags, rest }
    }
}

/// Makes the descriptor a queue of the interface of that name, or of a new one. Gives the name that it has.
pub(super) fn set_interface(fd: &OwnedFd, name: [u8; 16], flags: u16) -> Result<[u8; 16], Errno> {
    let mut request = Request::new(name, flags);
    // SAFETY: `Request` is the 40 bytes of `struct ifreq` that the kernel copies in and out for TUNSETIFF; it lives until the call is over.
    unsafe { ioctl(fd, Updater::<TUNSETIFF, Request>::new(&mut request)) }?;
    Ok(request.name)
}

/// The name and flags of the interface that a descriptor from outside is a queue of.
pub(super) fn interface(fd: &OwnedFd) -> Result<([u8; 16], u16), Errno> {
    let mut request = Request::new([0; 16], 0);
    // SAFETY: as above; TUNGETIFF writes the same 40 bytes.
    unsafe { ioctl(fd, Updater::<TUNGETIFF, Request>::new(&mut request)) }?;
    Ok((request.name, request.flags))
}

/// Has the kernel use a queue of an interface that has several, or leave it alone.
pub(super) fn attach(fd: &OwnedFd, on: bool) -> Result<(), Errno> {
    let flag = if on { IFF_ATTACH_QUEUE } else { IFF_DETACH_QUEUE };
    let mut request = Request::new([0; 16], flag);
    // SAFETY: as above; TUNSETQUEUE reads the same 40 bytes.
    unsafe { ioctl(fd, Updater::<TUNSETQUEUE, Request>::new(&mut request)) }
}

/// What may be left to do in frames that are read: bits of `TUN_F_`.
pub(super) fn set_offload(fd: &OwnedFd, bits: usize) -> Result<(), Errno> {
    // SAFETY: TUNSETOFFLOAD takes its argument as a number and touches no memory of ours.
    unsafe { ioctl(fd, IntegerSetter::<TUNSETOFFLOAD>::new_usize(bits)) }
}

/// Bytes that may wait in the interface before writes say that there is no room.
pub(super) fn set_send_buffer(fd: &OwnedFd, bytes: i32) -> Result<(), Errno> {
    let mut bytes = bytes;
    // SAFETY: TUNSETSNDBUF reads one `int`, which lives until the call is over.
    unsafe { ioctl(fd, Updater::<TUNSETSNDBUF, i32>::new(&mut bytes)) }
}

/// How long the header before each frame is.
pub(super) fn set_header_len(fd: &OwnedFd, bytes: i32) -> Result<(), Errno> {
    let mut bytes = bytes;
    // SAFETY: TUNSETVNETHDRSZ reads one `int`, which lives until the call is over.
    unsafe { ioctl(fd, Updater::<TUNSETVNETHDRSZ, i32>::new(&mut bytes)) }
}

/// The same, asked.
#[cfg(test)]
pub(super) fn header_len(fd: &OwnedFd) -> Result<i32, Errno> {
    let mut bytes = 0;
    // SAFETY: TUNGETVNETHDRSZ writes one `int`, which lives until the call is over.
    unsafe { ioctl(fd, Updater::<TUNGETVNETHDRSZ, i32>::new(&mut bytes)) }?;
    Ok(bytes)
}
