//! What happens to bytes: flipped bits, numbers of any width set to what breaks arithmetic, stretches cut, doubled and
//! moved, digits of texts made long.

use crate::process::Dice;

/// One to six edits.
pub fn mutate(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + dice.below(6) {
        edit(&mut bytes, dice);
    }
    bytes
}

/// One edit that leaves the length, for what lies under a checksum that is mended afterwards.
pub fn poke(bytes: &mut [u8], dice: &mut Dice) {
    let at = dice.below(bytes.len());
    match dice.below(3) {
        _ if bytes.is_empty() => {}
        0 => bytes[at] ^= 1 << dice.below(8),
        1 => bytes[at] = dice.roll() as u8,
        _ => put_number(bytes, at, dice),
    }
}

fn edit(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len());
    let length = dice.below(64).min(bytes.len().saturating_sub(at));
    match dice.below(16) {
        0..=2 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
        3..=4 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, dice.roll() as u8][dice.below(6)],
        5..=8 => put_number(bytes, at, dice),
        9 => bytes.truncate(at),
        10 => drop(bytes.drain(at..at + length)),
        11 => {
            let stretch = bytes[at..at + length].to_vec();
            bytes.splice(at..at, stretch);
        }
        12 => {
            let stretch = bytes[at..at + length].to_vec();
            let to = dice.below(bytes.len());
            bytes.splice(to..to, stretch);
        }
        13 => {
            // A run of one byte, or an opening bracket without an end.
            let byte = [0, 0xff, b'[', b'{', b'"', b'9', dice.roll() as u8][dice.below(7)];
            bytes.splice(at..at, std::iter::repeat_n(byte, dice.below(300)));
        }
        14 => long_digits(bytes, at, dice),
        _ => bytes.extend((0..dice.below(64)).map(|_| 0u8)),
    }
}

/// A number of one to eight bytes of either order, of the kind that overflows.
fn put_number(bytes: &mut [u8], at: usize, dice: &mut Dice) {
    let width = [1, 2, 4, 8][dice.below(4)].min(bytes.len() - at.min(bytes.len()));
    let numbers = [
        0,
        1,
        0x7f,
        0xff,
        0x7fff,
        0xffff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        1 << 32,
        1 << 40,
        i64::MAX as u64,
        u64::MAX,
    ];
    let near = numbers[dice.below(numbers.len())].wrapping_add(dice.below(3) as u64).wrapping_sub(1);
    let number = if width == 0 { return } else { near };
    let little = number.to_le_bytes();
    for (place, byte) in bytes[at..at + width].iter_mut().enumerate() {
        *byte = match dice.0 & 1 {
            0 => little[place],
            _ => little[width - 1 - place],
        };
    }
}

/// The first digit from `at` on becomes many.
fn long_digits(bytes: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    if let Some(found) = bytes[at..].iter().position(u8::is_ascii_digit) {
        let texts: [&[u8]; 7] =
            [b"4294967296", b"18446744073709551615", b"99999999999999999999", b"-1", b"1e309", b"0.5", b"null"];
        bytes.splice(at + found..at + found + 1, texts[dice.below(texts.len())].iter().copied());
    }
}
