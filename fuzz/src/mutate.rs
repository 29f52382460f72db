//! Inputs for the short run: a committed seed or nothing, altered a few times. The same seed gives the same inputs.

use southbridge_testing::Noise;

/// Values that often stand at an edge.
const EDGES: [u8; 10] = [0, 1, 0x7f, 0x80, 0xff, b'=', b',', b'\n', b'{', b'"'];

/// Makes one input of at most `longest` bytes.
pub fn input(seeds: &[Vec<u8>], longest: usize, noise: &mut Noise) -> Vec<u8> {
    let pick = below(noise, seeds.len() + 1);
    let mut bytes = match seeds.get(pick) {
        Some(seed) => seed.clone(),
        None => {
            let length = below(noise, longest) + 1;
            noise.bytes(length)
        }
    };
    for _ in 0..=below(noise, 6) {
        alter(&mut bytes, seeds, noise);
    }
    bytes.truncate(longest);
    bytes
}

fn alter(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], noise: &mut Noise) {
    let at = below(noise, bytes.len());
    let length = below(noise, bytes.len() - at).min(32);
    match noise.next_u64() % 8 {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << (noise.next_u64() % 8),
        1 if !bytes.is_empty() => bytes[at] = EDGES[below(noise, EDGES.len())],
        2 if !bytes.is_empty() => bytes[at] = noise.next_u64() as u8,
        3 => {
            let length = below(noise, 9) + 1;
            let new = noise.bytes(length);
            bytes.splice(at..at, new);
        }
        4 => drop(bytes.drain(at..at + length)),
        5 => {
            let again = bytes[at..at + length].to_vec();
            bytes.splice(at..at, again);
        }
        6 => bytes.truncate(at),
        _ => {
            if let Some(other) = seeds.get(below(noise, seeds.len())) {
                let from = below(noise, other.len());
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
        }
    }
}

/// A number below `n`; 0 if there is none.
fn below(noise: &mut Noise, n: usize) -> usize {
    (noise.next_u64() as usize).checked_rem(n).unwrap_or(0)
}
