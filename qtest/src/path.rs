//! Which lines an object path of the protocol means.
//!
//! Paths are those of QEMU's object tree or the last part of one. Whole machines of that shape are the monitor's business; here it is
//! enough to find the device: by the user's id, the board's name for the part, `device[N]`, or its type when there is one of it.

use southbridge_core::{DeviceId, LineDirection, System};

/// Lines of a device or of the processor's interrupt controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Interrupt inputs of the processor.
    Cpu,
    /// So many lines of a device, from the first.
    Device {
        /// The device.
        device: DeviceId,
        /// First line.
        first: u16,
        /// How many.
        count: u16,
    },
}

/// Names of the interrupt controller inside the processor.
const CONTROLLERS: [&str; 3] = ["nvic", "armv7m", "v7m"];

/// Finds the lines; `None` if there is no such device. A device without such lines has a count of 0.
pub fn find_lines(
    sys: &System,
    parts: &[(String, DeviceId)],
    path: &str,
    outputs: bool,
    group: Option<&str>,
) -> Option<Lines> {
    let last = path.rsplit('/').find(|p| !p.is_empty())?;
    if CONTROLLERS.contains(&last) {
        return Some(Lines::Cpu);
    }
    let device = find_device(sys, parts, last)?;
    let declared = sys.slot(device)?.device_type.lines;
    let direction = if outputs { LineDirection::Out } else { LineDirection::In };
    let of_direction = || declared.iter().filter(|l| l.direction == direction);
    let all = of_direction().map(|l| l.count).sum();
    let mut first = 0;
    for line in of_direction() {
        let unnamed = group.is_none() && matches!(line.name, "out" | "in");
        if unnamed || group == Some(line.name) {
            return Some(Lines::Device {
                device,
                first,
                count: line.count,
            });
        }
        first += line.count;
    }
    // Interrupt outputs of a memory-mapped device are one group there; so is everything of a device without a group of plain pins.
    let whole = matches!(group, None | Some("sysbus-irq"));
    Some(Lines::Device {
        device,
        first: 0,
        count: if whole { all } else { 0 },
    })
}

fn find_device(sys: &System, parts: &[(String, DeviceId)], name: &str) -> Option<DeviceId> {
    if let Some(id) = sys.find_device(name) {
        return Some(id);
    }
    if let Some((_, id)) = parts.iter().find(|(part, _)| part == name) {
        return Some(*id);
    }
    let (stem, index) = match name.strip_suffix(']').and_then(|n| n.split_once('[')) {
        Some((stem, index)) => (stem, index.parse::<usize>().ok()?),
        None => (name, 0),
    };
    if stem == "device" {
        return sys.devices().nth(index).map(|(id, _)| id);
    }
    let indexed = format!("{stem}{index}");
    let part = parts.iter().find(|(part, _)| *part == indexed).map(|(_, id)| *id);
    part.or_else(|| {
        sys.devices()
            .filter(|(_, s)| s.device_type.name == stem)
            .nth(index)
            .map(|(id, _)| id)
    })
}
