//! PCI functions as sysfs shows them: `config`, `resourceN`, and the driver `uio_pci_generic`.

use super::sys;
use core::ffi::CStr;
use core::fmt::{self, Write as _};

const COMMAND: usize = 0x04;
const COMMAND_MEMORY_AND_MASTER: u16 = 0x6;
const COMMAND_INTX_DISABLE: u16 = 1 << 10;
const BAR0: usize = 0x10;
const CAPABILITIES: usize = 0x34;
const CAPABILITY_MSIX: u8 = 0x11;
const MSIX_ENABLE: u16 = 1 << 15;

/// A function on bus 0.
pub(super) struct Function {
    device: u32,
    id: u32,
    /// Its configuration space, open.
    pub(super) config: i32,
}

/// A path, made on the way.
struct Path {
    bytes: [u8; 96],
    len: usize,
}

impl Path {
    fn new(text: fmt::Arguments<'_>) -> Self {
        let mut path = Self { bytes: [0; 96], len: 0 };
        // The longest path here has 50 bytes.
        let _ = path.write_fmt(text);
        path
    }

    fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl fmt::Write for Path {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // One byte stays for the zero at the end.
        for byte in s.bytes().take(self.bytes.len() - 1 - self.len) {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

impl Function {
    /// The first device on bus 0 with these ids (vendor in the low half).
    pub(super) fn find(id: u32) -> Option<Self> {
        (0..32).find_map(|device| {
            let path = Path::new(format_args!("/sys/bus/pci/devices/0000:00:{device:02x}.0/config"));
            let config = sys::open(path.as_c())?;
            let function = Self { device, id, config };
            if function.read32(0) == id {
                return Some(function);
            }
            sys::close(config);
            None
        })
    }

    fn read32(&self, at: usize) -> u32 {
        let mut word = [0; 4];
        sys::read_at(self.config, &mut word, at);
        u32::from_le_bytes(word)
    }

    /// Lets it decode memory and write messages.
    pub(super) fn enable(&self) {
        let command = read16(self.config, COMMAND) | COMMAND_MEMORY_AND_MASTER;
        write16(self.config, COMMAND, command);
    }

    /// Maps one of its windows at a fixed place.
    pub(super) fn map(&self, bar: u32, address: usize, len: usize) {
        let path = Path::new(format_args!(
            "/sys/bus/pci/devices/0000:00:{:02x}.0/resource{bar}",
            self.device
        ));
        let mapped = sys::open(path.as_c()).map(|fd| {
            let mapped = sys::map(fd, address, len);
            sys::close(fd);
            mapped
        });
        if mapped != Some(true) {
            sys::die(format_args!(
                "window {bar} of device {:02x} cannot be mapped",
                self.device
            ));
        }
    }

    /// First address of a memory window.
    pub(super) fn bar(&self, bar: usize) -> u64 {
        let low = self.read32(BAR0 + 4 * bar);
        let high = if low & 0x6 == 0x4 {
            self.read32(BAR0 + 4 * bar + 4)
        } else {
            0
        };
        u64::from(high) << 32 | u64::from(low & !0xf)
    }

    /// Gives it to the driver that hands its wired interrupt to user space. The descriptor to wait on.
    pub(super) fn bind_to_uio(&self) -> i32 {
        let Some(new_id) = sys::open_to_write(c"/sys/bus/pci/drivers/uio_pci_generic/new_id") else {
            sys::die("the module uio_pci_generic is not loaded");
        };
        let ids = Path::new(format_args!("{:04x} {:04x}", self.id & 0xffff, self.id >> 16));
        // It fails where an earlier run has done it.
        sys::write(new_id, &ids.bytes[..ids.len]);
        sys::close(new_id);
        sys::open(c"/dev/uio0").unwrap_or_else(|| sys::die("there is no /dev/uio0"))
    }

    /// Lets its wired interrupt through.
    pub(super) fn unmask_intx(&self) {
        unmask_intx(self.config);
    }

    /// Lets its messages go.
    pub(super) fn enable_msix(&self) {
        let mut at = usize::from(read16(self.config, CAPABILITIES) as u8 & !3);
        // A list of capabilities has at most 48 links (256 bytes of 4, less the header).
        for _ in 0..48 {
            let [id, next] = read16(self.config, at).to_le_bytes();
            if at == 0 || id == CAPABILITY_MSIX {
                break;
            }
            at = usize::from(next & !3);
        }
        if at == 0 {
            sys::die("the ivshmem device has no MSI-X");
        }
        let control = read16(self.config, at + 2);
        write16(self.config, at + 2, control | MSIX_ENABLE);
    }
}

/// The driver masks the interrupt at each; this lets the next one through.
pub(super) fn unmask_intx(config: i32) {
    let command = read16(config, COMMAND) & !COMMAND_INTX_DISABLE;
    write16(config, COMMAND, command);
}

fn read16(config: i32, at: usize) -> u16 {
    let mut word = [0; 2];
    sys::read_at(config, &mut word, at);
    u16::from_le_bytes(word)
}

fn write16(config: i32, at: usize, value: u16) {
    if !sys::write_at(config, &value.to_le_bytes(), at) {
        sys::die(format_args!("configuration space refuses a write at {at:#x}"));
    }
}
