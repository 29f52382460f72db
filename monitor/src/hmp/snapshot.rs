//! `savevm` and its kin: states of the machine by name, in this process. They end with it; files are the business of `migrate`.

use southbridge_core::machine::Whole;
use std::time::SystemTime;

use super::{Call, Refusal, failed};

type Done = Result<(), Refusal>;

/// A state with what `info snapshots` tells of it.
struct Snapshot {
    name: String,
    /// Seconds since 1970.
    taken: u64,
    virtual_ns: u64,
    executed: u64,
    state: Whole,
    bytes: u64,
}

/// All of a machine, oldest first.
#[derive(Default)]
pub(super) struct Snapshots(Vec<Snapshot>);

impl Snapshots {
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|s| s.name.clone()).collect()
    }

    fn find(&self, name: &str) -> Result<&Snapshot, Refusal> {
        let found = self.0.iter().find(|s| s.name == name);
        found.ok_or_else(|| Refusal::Failed(format!("there is no snapshot '{name}'")))
    }
}

pub(super) fn savevm(call: &mut Call<'_, '_>) -> Done {
    let taken = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let name = match call.args.text(0) {
        Some(name) => name.to_owned(),
        None => format!("vm-{}", date(taken).replace([' ', ':'], "").replace('-', "")),
    };
    let machine = &mut call.cx.machine;
    let state = match machine.save_whole() {
        Ok(state) => state,
        Err(why) => return failed(format!("the machine cannot be saved now: {why}")),
    };
    let snapshot = Snapshot {
        name,
        taken,
        virtual_ns: machine.sys.clock.now().0,
        executed: machine.sys.clock.executed(),
        bytes: bytes(&state),
        state,
    };
    let all = &mut call.cx.world.hmp.snapshots.0;
    // As with files, the same name again is the new state.
    all.retain(|s| s.name != snapshot.name);
    all.push(snapshot);
    Ok(())
}

pub(super) fn loadvm(call: &mut Call<'_, '_>) -> Done {
    let name = call.args.word(0);
    let state = call.cx.world.hmp.snapshots.find(&name)?.state.clone();
    if let Err(e) = call.cx.machine.load_whole(&state) {
        return failed(format!("snapshot '{name}': {e}"));
    }
    Ok(())
}

pub(super) fn delvm(call: &mut Call<'_, '_>) -> Done {
    let name = call.args.word(0);
    call.cx.world.hmp.snapshots.find(&name)?;
    call.cx.world.hmp.snapshots.0.retain(|s| s.name != name);
    Ok(())
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Done {
    if call.cx.world.hmp.snapshots.0.is_empty() {
        call.say(format_args!("There is no snapshot available."));
        return Ok(());
    }
    let mut out = String::from("List of snapshots present in this process:\n");
    let columns = |c: [&str; 6]| {
        format!(
            "{:<7} {:<16} {:>8} {:>19} {:>15} {:>10}\n",
            c[0], c[1], c[2], c[3], c[4], c[5]
        )
    };
    out += &columns(["ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT"]);
    for s in &call.cx.world.hmp.snapshots.0 {
        let icount = s.executed.to_string();
        let row = [
            "--",
            &s.name,
            &size(s.bytes),
            &date(s.taken),
            &clock(s.virtual_ns),
            &icount,
        ];
        out += &columns(row);
    }
    call.out += &out;
    Ok(())
}

fn bytes(state: &Whole) -> u64 {
    let ram = state.ram.iter().flat_map(|r| &r.runs).map(|(_, data)| data.len());
    let parts = state
        .devices
        .iter()
        .map(|d| d.state.cbor.len())
        .chain(state.cpu.iter().map(|c| c.cbor.len()));
    ram.chain(parts).chain([state.board.cbor.len()]).sum::<usize>() as u64
}

fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = if unit == 0 || value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$} {}", units[unit])
}

fn clock(ns: u64) -> String {
    let s = ns / 1_000_000_000;
    format!(
        "{:04}:{:02}:{:02}.{:03}",
        s / 3600,
        s / 60 % 60,
        s % 60,
        ns / 1_000_000 % 1000
    )
}

/// A moment in UTC, by the Gregorian calendar (days from 1 March 0000 in cycles of 400 years).
fn date(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let (h, m, s) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_sizes_are_written_as_people_know_them() {
        assert_eq!(date(0), "1970-01-01 00:00:00");
        assert_eq!(date(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(date(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(date(1_735_689_599), "2024-12-31 23:59:59");
        assert_eq!(clock(3_661_002_000_000), "0001:01:01.002");
        assert_eq!(
            [size(999), size(2048), size(5 << 20)],
            ["999 B", "2.00 KiB", "5.00 MiB"]
        );
    }
}
