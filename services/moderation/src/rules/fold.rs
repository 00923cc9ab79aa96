//! Makes texts that look alike equal, as far as the rules for links, numbers and ages need it.

/// Lower case, with ASCII forms of full-width characters and of other scripts' digits, without characters that have
/// no width, and with one kind of blank. Line breaks stay.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.chars() {
        if !has_no_width(character) {
            folded.extend(plain(character).to_lowercase());
        }
    }
    folded
}

/// Joiners, marks of direction, variation selectors, the keycap, soft hyphens: put between letters, they hide a word.
fn has_no_width(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
            | '\u{20e3}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

fn plain(character: char) -> char {
    match character {
        '\n' => '\n',
        '。' => '.',
        '’' | '‘' | 'ʼ' | '`' => '\'',
        '‐' | '‑' | '‒' | '–' | '—' | '−' => '-',
        '\u{ff01}'..='\u{ff5e}' => shifted(character, '\u{ff01}', '!'),
        '\u{1d7ce}'..='\u{1d7ff}' => digit((u32::from(character) - 0x1d7ce) % 10),
        _ if character.is_whitespace() || character.is_control() => ' ',
        _ => DIGIT_ZEROS
            .iter()
            .find_map(|zero| u32::from(character).checked_sub(*zero).filter(|value| *value < 10))
            .map_or(character, digit),
    }
}

/// Where the digits of some widely written scripts begin: Arabic, Persian, Devanagari, Bengali, Thai.
const DIGIT_ZEROS: [u32; 5] = [0x660, 0x6f0, 0x966, 0x9e6, 0xe50];

fn shifted(character: char, from: char, to: char) -> char {
    char::from_u32(u32::from(character) - u32::from(from) + u32::from(to)).unwrap_or(character)
}

fn digit(value: u32) -> char {
    char::from_digit(value, 10).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn what_looks_alike_becomes_equal() {
        for (text, folded) in [
            ("Hello", "hello"),
            ("ｅｘａｍｐｌｅ．ｃｏｍ", "example.com"),
            ("ex\u{200b}am\u{ad}ple。com", "example.com"),
            ("٠١٢ ۳۴ ५ 𝟗", "012 34 5 9"),
            ("1\u{fe0f}\u{20e3}2\u{fe0f}\u{20e3}", "12"),
            ("I’m\u{a0}here\tnow\nok", "i'm here now\nok"),
            ("5–5", "5-5"),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }
}
