//! The events that every machine has for every device, and those of CPUs.

crate::trace_events! {
    /// What the bus, the clock and the wires do; the record's source is the device.
    pub mod core {
        mmio_read(region: text, register: text, offset: hex, size: uint, value: hex) "a register was read";
        mmio_write(region: text, register: text, offset: hex, size: uint, value: hex) "a register is written";
        line_set(line: text, level: flag) "a device changes the level of an output line";
        timer_set(timer: uint, deadline: uint) "a device arms a timer for this moment, in nanoseconds";
        timer_cancel(timer: uint) "a device disarms a timer";
        timer_fire(timer: uint) "a timer is due, and its device is told";
        completion(port: uint, token: hex, result: int, bytes: uint) "a device is told what the host did";
        clock_set(clock: uint, hz: uint) "a clock of the board runs at another frequency";
        device_reset(phase: text) "a device goes through a phase of reset";
        system_reset() "the whole machine is reset";
        fault_injected(rule: text, kind: text, action: text) "a rule of fault injection struck";
    }
}

crate::trace_events! {
    /// What CPUs do; the record's source is `cpuN`.
    pub mod cpu {
        cpu_exception_enter(number: uint, exception: text, priority: int, from: hex, handler: hex) "a handler begins";
        cpu_exception_exit(number: uint, exception: text, chained: flag, to: hex) "a handler ends";
        cpu_sleep(event: flag) "the CPU waits for an interrupt, or (event) for an event";
        cpu_wake() "the CPU goes on";
        cpu_reset(pc: hex, sp: hex) "the CPU was reset and will begin here";
        cpu_lockup() "the CPU cannot go on";
    }
}

/// Names for registers that the table of a region does not have.
pub(crate) const NO_REGISTER: &str = "?";
