//! What a device has to say to whoever drives the machine, beyond what all devices do: that a guest has opened a port, or given memory
//! back. Monitors turn it into events of their protocol.

use std::time::{Duration, Instant};

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
/// Wall-clock time between two notices of a device that are of one kind. A guest can say much, and those who listen are slow.
const DISTANCE: Duration = Duration::from_secs(1);

/// Notices that nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    waiting: Vec<Notice>,
    /// Those that were taken a moment ago.
    taken: Vec<(DeviceId, &'static str, Instant)>,
}

impl Notices {
    /// The newest of a device and event counts.
    pub(crate) fn add(&mut self, notice: Notice) {
        self.waiting
            .retain(|n| (n.device, n.event) != (notice.device, notice.event));
        if self.waiting.len() < MOST {
            self.waiting.push(notice);
        }
    }

    /// Those whose time has come.
    pub(crate) fn due(&mut self) -> Vec<Notice> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        self.taken.retain(|t| now.saturating_duration_since(t.2) < DISTANCE);
        let taken = &self.taken;
        let early = |n: &Notice| taken.iter().any(|t| (t.0, t.1) == (n.device, n.event));
        let (early, due): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().partition(early);
        self.waiting = early;
        self.taken.extend(due.iter().map(|n| (n.device, n.event, now)));
        due
    }

    /// All.
    pub(crate) fn take(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_first_is_heard_and_the_last() {
        let mut notices = Notices::default();
        let say = |n: &mut Notices, device, value| {
            n.add(Notice {
                device: DeviceId::from_index(device),
                event: "CHANGE",
                members: vec![("value", NoticeValue::Number(value))],
            });
        };
        say(&mut notices, 1, 0);
        assert_eq!(notices.due().len(), 1);
        (1..1000).for_each(|i| say(&mut notices, 1, i));
        say(&mut notices, 2, 5);
        let due = notices.due();
        assert_eq!(due.iter().map(|n| n.device.index()).collect::<Vec<_>>(), [2]);
        let rest = notices.take();
        assert_eq!(rest[0].members, [("value", NoticeValue::Number(999))]);
        assert!(notices.take().is_empty());
    }
}
