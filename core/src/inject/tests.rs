use super::{FaultAction, FaultError, FaultKind, FaultRule, Passage};
use crate::fault::BusError;
use crate::host::Completion;
use crate::trace::Glob;
use crate::trace::tests::{DATA, LINE, TIMER, Text, board};
use crate::{DeviceId, System, VirtualTime};

const RESULTS: u64 = DATA + 0x10;
const LAST: u64 = DATA + 0x14;

fn rule(kind: FaultKind, action: FaultAction) -> FaultRule {
    FaultRule::new("f", kind, action)
}

fn with(rule: FaultRule) -> (System, DeviceId, Text) {
    let (mut sys, probe, text) = board();
    sys.add_fault(rule).expect("a rule");
    sys.trace_enable("line_set", true);
    sys.trace_enable("fault_*", true);
    (sys, probe, text)
}

#[test]
fn the_nth_and_every_further_match_is_struck() {
    let mut r = rule(FaultKind::Read, FaultAction::Xor(0xf0));
    (r.nth, r.every, r.count) = (2, 3, 2);
    r.name = Glob::new("DATA");
    r.device = Glob::new("probe");
    let (mut sys, _, text) = with(r);
    let seen: Vec<_> = (0..10).map(|_| sys.read(DATA, 4)).collect();
    let struck: Vec<_> = (0..10).filter(|i| seen[*i] == Ok(0xf0)).collect();
    assert_eq!(struck, [1, 4], "the 2nd and 5th, and then the count is used up");
    assert_eq!(sys.faults().rules()[0].seen, 10);
    assert_eq!(sys.faults().rules()[0].struck, 2);
    let told = "fault_injected p rule=f kind=mmio-read action=corrupt";
    assert_eq!(text.get().matches(told).count(), 2);
}

#[test]
fn accesses_are_dropped_or_fail() {
    let (mut sys, _, _) = with(rule(FaultKind::Write, FaultAction::Drop));
    sys.write(DATA, 4, 7).expect("nobody notices");
    assert_eq!(sys.read(DATA, 4), Ok(0));
    sys.write(DATA, 4, 7).expect("the second one is not struck");
    assert_eq!(sys.read(DATA, 4), Ok(7));

    let (mut sys, _, _) = with(rule(FaultKind::Write, FaultAction::Fail));
    assert_eq!(sys.write(DATA, 4, 7), Err(BusError::Target));
    assert_eq!(sys.read(DATA, 4), Ok(0));

    let (mut sys, _, _) = with(rule(FaultKind::Write, FaultAction::Set(3)));
    sys.write(DATA, 4, 7).expect("a write");
    assert_eq!(sys.read(DATA, 4), Ok(3));
}

#[test]
fn a_pulse_arrives_late_and_whole() {
    let (mut sys, _, text) = with(rule(FaultKind::Line, FaultAction::Delay(500)));
    sys.write(TIMER, 4, 1000).expect("a write");
    sys.advance_to(VirtualTime(1100));
    assert!(sys.faults().holds_back());
    sys.advance_to(VirtualTime(9000));
    assert!(!sys.faults().holds_back());
    let lines = text.get();
    assert!(lines.contains("[0.000001500] line_set p line=irq level=1\n"), "{lines}");
    assert!(lines.contains("[0.000001501] line_set p line=irq level=0\n"), "{lines}");
}

#[test]
fn a_dropped_edge_leaves_the_line_as_it_is() {
    let (mut sys, probe, _) = with(rule(FaultKind::Line, FaultAction::Drop));
    sys.write(LINE, 4, 1).expect("a write");
    assert!(!sys.output_level(probe, 0));
    sys.write(LINE, 4, 1).expect("a write");
    assert!(sys.output_level(probe, 0), "only the first change is lost");
}

#[test]
fn timers_fire_late_once_even_under_a_rule_for_all() {
    let mut r = rule(FaultKind::Timer, FaultAction::Delay(300));
    r.every = 1;
    let (mut sys, _, text) = with(r);
    sys.write(TIMER, 4, 1000).expect("a write");
    sys.advance_to(VirtualTime(9000));
    let lines = text.get();
    assert!(lines.contains("[0.000001300] line_set p line=irq level=1\n"), "{lines}");
    assert_eq!(sys.faults().rules()[0].struck, 1);
}

#[test]
fn messages_are_corrupted_or_lost_and_completions_fail_or_wait() {
    let message = || Completion {
        data: vec![0x41],
        ..Completion::plain(0, 0, 1)
    };
    let (mut sys, probe, _) = with(rule(FaultKind::Message, FaultAction::Xor(0x20)));
    sys.deliver_completion(probe, Completion::plain(0, 0, 0));
    sys.deliver_completion(probe, message());
    assert_eq!(sys.read(DATA, 4), Ok(0x61), "what carries no bytes is no message");

    let (mut sys, probe, _) = with(rule(FaultKind::Message, FaultAction::Drop));
    sys.deliver_completion(probe, message());
    assert_eq!(sys.read(DATA, 4), Ok(0));
    assert_eq!(sys.read(RESULTS, 4), Ok(1), "the device hears of it, without bytes");

    let (mut sys, probe, _) = with(rule(FaultKind::Completion, FaultAction::Fail));
    sys.deliver_completion(probe, message());
    assert_eq!(sys.read(LAST, 4), Ok(u64::from(-5i32 as u32)));

    let (mut sys, probe, _) = with(rule(FaultKind::Message, FaultAction::Fail));
    sys.deliver_completion(probe, message());
    assert_eq!(
        sys.read(LAST, 4),
        Ok(u64::from(-5i32 as u32)),
        "nobody said what the end of the other side is"
    );

    let mut r = rule(FaultKind::Completion, FaultAction::Delay(10));
    r.number = Some(3);
    let (mut sys, probe, _) = with(r);
    sys.deliver_completion(probe, Completion::plain(2, 0, 0));
    sys.deliver_completion(probe, Completion::plain(3, 0, 0));
    assert_eq!(sys.read(RESULTS, 4), Ok(1));
    sys.advance_to(VirtualTime(10));
    assert_eq!(sys.read(RESULTS, 4), Ok(2));
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    let (mut sys, _, _) = board();
    let unfit = sys.add_fault(rule(FaultKind::Read, FaultAction::Delay(1)));
    assert!(matches!(unfit, Err(FaultError::Unfit { .. })));
    let mut zeroth = rule(FaultKind::Read, FaultAction::Drop);
    zeroth.nth = 0;
    assert_eq!(sys.add_fault(zeroth), Err(FaultError::Zeroth));
    assert_eq!(sys.add_fault(rule(FaultKind::Read, FaultAction::Drop)), Ok(()));
    let twice = sys.add_fault(rule(FaultKind::Line, FaultAction::Drop));
    assert_eq!(twice, Err(FaultError::Duplicate("f".into())));
    assert!(sys.remove_fault("f"));
    assert!(!sys.remove_fault("f"));
}

/// What becomes of three messages of one byte each on connection 1, which leads to the back end "wire".
fn three(sys: &mut System, probe: DeviceId) -> Vec<(Passage, u8)> {
    sys.faults.ends.add(probe, 1, "wire", 9);
    let say = |byte: u8, sys: &mut System| {
        let leave = |cx: &mut crate::Ctx<'_>| {
            assert!(cx.is_output_watched());
            let mut message = [byte];
            let passage = cx.leaves(1, &mut message);
            if let Passage::At(at) = passage {
                cx.later(at, 1, |_| {});
            }
            (passage, message[0])
        };
        sys.with_device(probe, |_, cx| leave(cx)).expect("a probe")
    };
    b"abc".iter().map(|b| say(*b, sys)).collect()
}

#[test]
fn what_a_device_says_is_lost_changed_late_or_fails() {
    let second = |action| {
        let mut r = rule(FaultKind::Output, action);
        (r.nth, r.name, r.number) = (2, Glob::new("wi*"), Some(1));
        with(r)
    };
    let (mut sys, probe, _) = second(FaultAction::Drop);
    let (a, c) = ((Passage::Now, b'a'), (Passage::Now, b'c'));
    assert_eq!(three(&mut sys, probe), [a, (Passage::Lost, b'b'), c]);

    let (mut sys, probe, _) = second(FaultAction::Xor(0x20));
    assert_eq!(three(&mut sys, probe), [a, (Passage::Now, b'B'), c]);

    let (mut sys, probe, _) = second(FaultAction::Delay(50));
    let late = Passage::At(VirtualTime(50));
    assert_eq!(
        three(&mut sys, probe),
        [a, (late, b'b'), (late, b'c')],
        "what is behind it stays behind"
    );
    assert!(sys.faults().holds_back());
    sys.advance_to(VirtualTime(50));
    assert!(!sys.faults().holds_back());

    let (mut sys, probe, text) = second(FaultAction::Fail);
    sys.trace_enable("completion", true);
    assert_eq!(three(&mut sys, probe), [a, (Passage::Lost, b'b'), c]);
    sys.advance_to(VirtualTime(5));
    let told = "completion p port=1 token=0x9 result=0 bytes=0";
    assert_eq!(
        text.get().matches(told).count(),
        1,
        "the other side is gone: {}",
        text.get()
    );
}

#[test]
fn what_could_not_go_out_stays_in_front() {
    let (mut sys, probe, _) = with(rule(FaultKind::Output, FaultAction::Delay(1)));
    let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = |n: u8| {
        let said = said.clone();
        move |_: &mut crate::Ctx<'_>| said.lock().expect("alone").push(n)
    };
    let (first, second) = (note(1), note(2));
    sys.with_device(probe, |_, cx| {
        cx.later(VirtualTime(10), 1, move |cx| cx.try_again(VirtualTime(20), 1, first));
        cx.later(VirtualTime(11), 1, second);
    });
    sys.advance_to(VirtualTime(15));
    assert!(said.lock().expect("alone").is_empty());
    sys.advance_to(VirtualTime(20));
    assert_eq!(*said.lock().expect("alone"), [1, 2]);
}
