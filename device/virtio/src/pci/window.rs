//! Access to the BARs through configuration space (Virtio 1.3, section 4.1.4.9): for firmware that cannot reach them otherwise.

use southbridge_bus_pci::ConfigSpace;
use southbridge_core::{Access, Ctx, Mmio};

use super::{MODERN, NOTIFY_PORT, VirtioPci};

/// Offsets in the capability.
const BAR: u16 = 4;
const OFFSET: u16 = 8;
const LENGTH: u16 = 12;
const DATA: u16 = 16;

impl VirtioPci {
    /// What an access to the data field leads to; `None` where it leads nowhere.
    fn window_access(&self, offset: u16, size: u8) -> Option<(u16, Access)> {
        let at = self.window?;
        if !ConfigSpace::touches(offset, size, at + DATA, 4) {
            return None;
        }
        let c = &self.pci.config;
        let (bar, offset, size) = (c.u8(at + BAR), u64::from(c.u32(at + OFFSET)), c.u32(at + LENGTH));
        let bar = self.pci.bar(bar.into())?;
        let fits = matches!(size, 1 | 2 | 4) && offset.is_multiple_of(size.into());
        let inside = offset.checked_add(size.into()).is_some_and(|end| end <= bar.size);
        let ours = matches!(bar.region, MODERN | NOTIFY_PORT);
        (fits && inside && ours).then_some((
            at + DATA,
            Access {
                region: bar.region,
                offset,
                size: size as u8,
                lanes: (1 << size) - 1,
            },
        ))
    }

    /// Before a read of configuration space: fetches what stands in the window.
    pub(super) fn window_read(&mut self, offset: u16, size: u8, cx: &mut Ctx<'_>) {
        if let Some((data, access)) = self.window_access(offset, size) {
            let value = Mmio::read(self, access, cx);
            for i in 0..u16::from(access.size) {
                self.pci.config.set_u8(data + i, (value >> (8 * i)) as u8);
            }
        }
    }

    /// After a write of configuration space: stores what was put into the window.
    pub(super) fn window_written(&mut self, offset: u16, size: u8, cx: &mut Ctx<'_>) {
        if let Some((data, access)) = self.window_access(offset, size) {
            let mask = u64::from(u32::MAX) >> (32 - 8 * u32::from(access.size));
            let value = u64::from(self.pci.config.u32(data)) & mask;
            Mmio::write(self, access, value, cx);
        }
    }
}
