use super::*;

const P: u64 = 4096;
const LONG: Duration = Duration::from_secs(3600);

fn block(pages: u64) -> RamBlock {
    RamBlock::new("test", pages * P).unwrap()
}

fn put(block: &RamBlock, page: u64, value: u8) {
    assert!(block.write(page * P, &[value; P as usize]));
}

fn search(block: &RamBlock) -> Arc<FreeSearch> {
    Arc::new(FreeSearch::new(Draft::of([block]), [block].into_iter()))
}

fn given(search: &FreeSearch, block: &RamBlock, first: u64, last: u64) -> Vec<(u64, u64)> {
    let mut stretches = Vec::new();
    let sum = search.give_back(block, first, last, |at, len| stretches.push((at / P, len / P)));
    assert_eq!(sum, stretches.iter().map(|(_, n)| n * P).sum::<u64>());
    stretches
}

#[test]
fn only_what_nobody_wrote_since_goes_back() {
    let block = block(64);
    for page in 0..40 {
        put(&block, page, 7);
    }
    put(&block, 20, 0);
    let search = search(&block);
    put(&block, 5, 8);
    put(&block, 20, 9);
    put(&block, 50, 9);
    // The last page is there by half.
    assert_eq!(given(&search, &block, 2 * P, 30 * P - 1), [(2, 3), (6, 14), (21, 8)]);
    assert_eq!(given(&search, &block, 2 * P, 30 * P), [(29, 1)], "once is enough");
    assert_eq!(given(&search, &block, 45 * P, 64 * P), []);
    for (page, value) in [(1, 7), (2, 0), (5, 8), (19, 0), (20, 9), (29, 0), (30, 7), (50, 9)] {
        let mut first = [0xff];
        assert!(block.read(page * P, &mut first));
        assert_eq!(first, [value], "page {page}");
    }
    assert_eq!(search.given(), 26 * P);
}

#[test]
fn what_is_written_after_its_hint_is_in_the_picture() {
    let block = block(32);
    for page in 0..32 {
        put(&block, page, 7);
    }
    let search = search(&block);
    let asking = search.ask();
    given(&search, &block, 0, 32 * P);
    // The same as before: comparing could not tell.
    put(&block, 3, 7);
    drop(asking);
    let (draft, asked) = search.end();
    assert!(asked);
    let places = |draft: &Draft| {
        draft.0[0]
            .iter()
            .map(|(at, data)| (at / P, data.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(places(&draft).len(), 2);
    let draft = draft.again([&block]);
    assert_eq!(places(&draft), [(3, P as usize)]);
    assert_eq!(given(&search, &block, 0, 32 * P), [], "too late");
}

#[test]
fn memory_that_is_not_the_machines_stays() {
    let (ours, other) = (block(4), block(4));
    put(&other, 0, 1);
    assert_eq!(given(&search(&ours), &other, 0, 4 * P), []);
}

#[test]
fn waiting_has_an_end() {
    let block = block(4);
    let nobody = search(&block);
    nobody.wait(LONG, LONG, || false);
    assert!(!nobody.end().1);
    let search = search(&block);
    let (first, second) = (search.ask(), search.ask());
    // Neither has heard from its guest.
    search.wait(Duration::ZERO, LONG, || false);
    search.wait(LONG, Duration::ZERO, || false);
    search.wait(LONG, LONG, || true);
    let waiting = std::thread::spawn({
        let search = search.clone();
        move || search.wait(LONG, LONG, || false)
    });
    assert!(first.search().hear(4 * P));
    drop(first);
    drop(second);
    waiting.join().unwrap();
}

#[test]
fn a_guest_that_hints_for_ever_is_stopped() {
    let block = block(4);
    let search = search(&block);
    let asking = search.ask();
    let heard = (0..100).take_while(|_| asking.search().hear(P)).count();
    assert_eq!(heard, 7, "twice its memory");
    assert!(!asking.search().hear(0));
}
