use super::*;

const P: u64 = PAGE as u64;

fn block() -> RamBlock {
    // Not a whole number of pages, as memory of a small board may be.
    RamBlock::new("test", 40 * P + 100).unwrap()
}

fn put(block: &RamBlock, at: u64, data: &[u8]) {
    assert!(block.write(at, data));
}

/// What each page holds, by the stretches and by the block.
fn check(block: &RamBlock, runs: &[Run]) {
    let mut expected = vec![0; block.len() as usize];
    let mut end = 0;
    for (offset, data) in runs {
        assert!(*offset >= end && offset.is_multiple_of(P) && !data.is_empty());
        assert_eq!(
            offset / PIECE,
            (offset + data.len() as u64 - 1) / PIECE,
            "inside one piece"
        );
        end = offset + data.len() as u64;
        expected[*offset as usize..end as usize].copy_from_slice(data);
    }
    assert!(block.equals(0, &expected));
    let pages = runs.iter().flat_map(|(_, data)| data.chunks(PAGE));
    assert!(
        pages.into_iter().all(|p| p.iter().any(|b| *b != 0)),
        "no page that is zero"
    );
}

#[test]
fn stretches_are_what_is_not_zero() {
    let block = block();
    assert!(runs_of(&block, Vec::new()).is_empty());
    put(&block, 3 * P + 4095, &[1, 2]);
    put(&block, 15 * P, &[7; 2 * PAGE]);
    put(&block, 20 * P, &[0; PAGE]);
    put(&block, 40 * P + 99, &[9]);
    let runs = runs_of(&block, Vec::new());
    let places: Vec<_> = runs.iter().map(|(at, data)| (at / P, data.len())).collect();
    assert_eq!(places, [(3, 2 * PAGE), (15, PAGE), (16, PAGE), (40, 100)]);
    check(&block, &runs);
}

#[test]
fn a_draft_changes_nothing_but_the_time_it_takes() {
    let block = block();
    put(&block, 0, &[1; 4 * PAGE]);
    put(&block, 18 * P, &[2; 3 * PAGE]);
    put(&block, 33 * P, &[3; PAGE]);
    let changes: [(u64, &[u8]); 7] = [
        (P + 17, &[8]),
        (2 * P, &[0; PAGE]),
        (6 * P, &[5]),
        (19 * P, &[0; PAGE]),
        (33 * P, &[0; PAGE]),
        (40 * P + 96, &[6]),
        (31 * P + 4095, &[1, 1]),
    ];
    for (at, data) in changes {
        let Draft(mut draft) = Draft::of([&block]);
        put(&block, at, data);
        let runs = runs_of(&block, draft.pop().unwrap());
        assert_eq!(runs, runs_of(&block, Vec::new()), "{at:#x}");
        check(&block, &runs);
    }
}

#[test]
fn what_did_not_change_is_not_copied_again() {
    let block = block();
    put(&block, 0, &[1; PAGE]);
    put(&block, PIECE, &[1; PAGE]);
    let Draft(mut draft) = Draft::of([&block]);
    let draft = draft.pop().unwrap();
    let before: Vec<_> = draft.iter().map(|(_, data)| data.as_ptr()).collect();
    put(&block, PIECE, &[2]);
    let runs = runs_of(&block, draft);
    assert_eq!(runs[0].1.as_ptr(), before[0]);
    check(&block, &runs);
}

#[test]
fn stretches_put_back_are_all_there_is() {
    let block = block();
    put(&block, 5 * P, &[1; 2 * PAGE]);
    put(&block, 40 * P + 50, &[4]);
    let image = RamImage {
        name: "test".into(),
        len: block.len(),
        runs: runs_of(&block, Vec::new()),
    };
    put(&block, 4 * P, &[9; 4 * PAGE]);
    put(&block, 30 * P, &[9]);
    put_runs(&image, &block);
    assert_eq!(runs_of(&block, Vec::new()), image.runs);
    let empty = RamImage {
        runs: Vec::new(),
        ..image
    };
    put_runs(&empty, &block);
    assert!(block.is_zero(0, block.len() as usize));
}

#[test]
fn kept_pages_are_shared_and_counted() {
    let block = block();
    put(&block, 0, &[1; 2 * PAGE]);
    put(&block, 40 * P + 99, &[3]);
    let kept = Kept::default();
    let first = kept.pages_of(&block, None);
    assert_eq!(kept.bytes(), 3 * PAGE);
    put(&block, P, &[2]);
    put(&block, 9 * P, &[4]);
    put(&block, 40 * P + 99, &[0]);
    let second = kept.pages_of(&block, Some(&first));
    assert_eq!(kept.bytes(), 5 * PAGE, "one that changed, one that is new");
    let then = runs_of(&block, Vec::new());
    first.put(&block);
    let runs = runs_of(&block, Vec::new());
    assert_eq!(runs.len(), 2);
    assert!(block.equals(0, &[1; 2 * PAGE]) && block.equals(40 * P + 99, &[3]) && block.is_zero(9 * P, PAGE));
    second.put(&block);
    assert_eq!(runs_of(&block, Vec::new()), then);
    drop(first);
    assert_eq!(kept.bytes(), 3 * PAGE);
    drop(second);
    assert_eq!(kept.bytes(), 0);
}

/// Reading shared memory that nobody wrote would have the host find pages for it.
#[test]
fn what_was_never_touched_stays_so() {
    let block = RamBlock::new("test", 64 << 20).unwrap();
    put(&block, 5 << 20, &[1]);
    let used = || rustix::fs::fstat(block.fd()).unwrap().st_blocks;
    let before = used();
    let runs = runs_of(&block, Draft::of([&block]).0.pop().unwrap());
    let pages = Kept::default().pages_of(&block, None);
    pages.put(&block);
    let image = RamImage {
        name: "test".into(),
        len: block.len(),
        runs,
    };
    put_runs(&image, &block);
    assert_eq!(used(), before);
}
