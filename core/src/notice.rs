//! What a device has to say to whoever drives the machine, beyond what all devices do: that a guest has opened a port, or given memory
//! back. Monitors turn it into events of their protocol.

use crate::device::DeviceId;

/// A value of a [`Notice`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeValue {
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

/// Something that a device says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Who.
    pub device: DeviceId,
    /// Name of the event in QMP.
    pub event: &'static str,
    /// Its members.
    pub members: Vec<(&'static str, NoticeValue)>,
}

/// Most that wait: a guest that says more within one turn is not heard.
const MOST: usize = 256;

/// Notices that nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Notices(Vec<Notice>);

impl Notices {
    /// The newest of a device and event counts.
    pub(crate) fn add(&mut self, notice: Notice) {
        self.0.retain(|n| (n.device, n.event) != (notice.device, notice.event));
        if self.0.len() < MOST {
            self.0.push(notice);
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.0)
    }
}
