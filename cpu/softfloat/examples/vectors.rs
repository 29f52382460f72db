//! Checks lines in the text format of Berkeley TestFloat's generator, read from standard input, against this crate.
//!
//! `vectors f32_mulAdd rup` expects operands, result and flags, in hexadecimal, on each line. Prints the first differences and
//! how many lines there were; fails if any differs. For development; the vectors come from outside.

use std::cmp::Ordering;
use std::io::BufRead;
use std::process::ExitCode;

use southbridge_cpu_softfloat as sf;
use southbridge_cpu_softfloat::{Compare, Double, Env, Format, Half, Rounding, Single};

type Op = fn(&[u64], &mut Env) -> u64;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (name, mode) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    let (Some(op), Some(rounding)) = (operation(&name), rounding(&mode)) else {
        eprintln!("usage: vectors <function> <rne|rtz|rdn|rup|rmm>");
        return ExitCode::FAILURE;
    };
    let (mut lines, mut wrong) = (0, 0);
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        lines += 1;
        if !agrees(&line, op, rounding) {
            wrong += 1;
        }
    }
    println!("{name} {mode}: {lines} lines, {wrong} wrong");
    if wrong == 0 && lines > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn agrees(line: &str, op: Op, rounding: Rounding) -> bool {
    let words: Vec<u64> = line
        .split_whitespace()
        .filter_map(|w| u64::from_str_radix(w, 16).ok())
        .collect();
    let [operands @ .., result, flags] = words.as_slice() else {
        return false;
    };
    // A second time with every flag set must give the same value, whichever way it is computed.
    let (mut env, mut sticky) = (
        Env::new(rounding),
        Env {
            rounding,
            flags: sf::Flags::from_bits(0x1f),
        },
    );
    let (got, again) = (op(operands, &mut env), op(operands, &mut sticky));
    let same = got == *result && again == *result && u64::from(env.flags.bits()) == *flags;
    if !same {
        println!("{line}: got {got:x} / {again:x} flags {:02x}", env.flags.bits());
    }
    same
}

fn rounding(name: &str) -> Option<Rounding> {
    Rounding::from_frm(["rne", "rtz", "rdn", "rup", "rmm"].iter().position(|n| *n == name)? as u8)
}

fn operation(name: &str) -> Option<Op> {
    if let Some((integer, to)) = name.split_once("_to_").filter(|(from, _)| from.contains('i')) {
        return match to {
            "f16" => from_integer::<Half>(integer),
            "f32" => from_integer::<Single>(integer),
            "f64" => from_integer::<Double>(integer),
            _ => None,
        };
    }
    let (format, function) = name.split_once('_')?;
    match format {
        "f16" => on_format::<Half>(function),
        "f32" => on_format::<Single>(function),
        "f64" => on_format::<Double>(function),
        _ => None,
    }
}

fn from_integer<F: Format>(integer: &str) -> Option<Op> {
    Some(match integer {
        "ui32" => |v, e| sf::from_u64::<F>(v[0], e),
        "ui64" => |v, e| sf::from_u64::<F>(v[0], e),
        "i32" => |v, e| sf::from_i64::<F>(v[0] as i32 as i64, e),
        "i64" => |v, e| sf::from_i64::<F>(v[0] as i64, e),
        _ => return None,
    })
}

fn on_format<F: Format>(function: &str) -> Option<Op> {
    Some(match function {
        "add" => |v, e| sf::add::<F>(v[0], v[1], e),
        "sub" => |v, e| sf::sub::<F>(v[0], v[1], e),
        "mul" => |v, e| sf::mul::<F>(v[0], v[1], e),
        "div" => |v, e| sf::div::<F>(v[0], v[1], e),
        "sqrt" => |v, e| sf::sqrt::<F>(v[0], e),
        "mulAdd" => |v, e| sf::mul_add::<F>(v[0], v[1], v[2], e),
        "eq" => |v, e| (sf::compare::<F>(v[0], v[1], Compare::Quiet, e) == Some(Ordering::Equal)).into(),
        "lt" => |v, e| (sf::compare::<F>(v[0], v[1], Compare::Signalling, e) == Some(Ordering::Less)).into(),
        "le" => |v, e| {
            sf::compare::<F>(v[0], v[1], Compare::Signalling, e)
                .is_some_and(Ordering::is_le)
                .into()
        },
        "lt_quiet" => |v, e| (sf::compare::<F>(v[0], v[1], Compare::Quiet, e) == Some(Ordering::Less)).into(),
        "roundToInt" => |v, e| sf::round_to_integral::<F>(v[0], true, e),
        "to_i32" => |v, e| sf::to_i32::<F>(v[0], e) as u32 as u64,
        "to_ui32" => |v, e| sf::to_u32::<F>(v[0], e).into(),
        "to_i64" => |v, e| sf::to_i64::<F>(v[0], e) as u64,
        "to_ui64" => |v, e| sf::to_u64::<F>(v[0], e),
        "to_f16" => |v, e| sf::convert::<F, Half>(v[0], e),
        "to_f32" => |v, e| sf::convert::<F, Single>(v[0], e),
        "to_f64" => |v, e| sf::convert::<F, Double>(v[0], e),
        _ => return None,
    })
}
