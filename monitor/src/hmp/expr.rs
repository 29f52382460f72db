//! Expressions: numbers, registers and the operators of C on 64 bits, with QEMU's precedence: `* / %` before `& | ^` before `+ -`.

/// Values of registers by name.
pub(super) type Registers<'a> = &'a dyn Fn(&str) -> Option<u64>;

/// Brackets and signs within each other beyond which an expression is refused.
const MOST_DEPTH: u32 = 64;

/// The value of the expression at the start of `text`, and what follows it.
pub(super) fn evaluate<'t>(text: &'t str, registers: Registers<'_>) -> Result<(u64, &'t str), String> {
    let mut reader = Reader {
        rest: text.trim_start(),
        registers,
        depth: 0,
    };
    let value = reader.sum()?;
    Ok((value, reader.rest))
}

struct Reader<'t, 'r> {
    rest: &'t str,
    registers: Registers<'r>,
    depth: u32,
}

impl<'t> Reader<'t, '_> {
    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest[bytes..].trim_start();
    }

    /// Takes one of these characters if it is next.
    fn operator(&mut self, of: &[char]) -> Option<char> {
        let c = self.rest.chars().next().filter(|c| of.contains(c))?;
        self.skip(1);
        Some(c)
    }

    fn sum(&mut self) -> Result<u64, String> {
        let mut value = self.logic()?;
        while let Some(op) = self.operator(&['+', '-']) {
            let other = self.logic()?;
            value = match op {
                '+' => value.wrapping_add(other),
                _ => value.wrapping_sub(other),
            };
        }
        Ok(value)
    }

    fn logic(&mut self) -> Result<u64, String> {
        let mut value = self.product()?;
        while let Some(op) = self.operator(&['&', '|', '^']) {
            let other = self.product()?;
            value = match op {
                '&' => value & other,
                '|' => value | other,
                _ => value ^ other,
            };
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<u64, String> {
        let mut value = self.unary()? as i64;
        while let Some(op) = self.operator(&['*', '/', '%']) {
            let other = self.unary()? as i64;
            value = match op {
                '*' => value.wrapping_mul(other),
                _ if other == 0 => return Err("division by zero".into()),
                '/' => value.wrapping_div(other),
                _ => value.wrapping_rem(other),
            };
        }
        Ok(value as u64)
    }

    fn unary(&mut self) -> Result<u64, String> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err("the expression is nested too deep".into());
        }
        let value = match self.operator(&['+', '-', '~', '(']) {
            Some('+') => self.unary(),
            Some('-') => self.unary().map(u64::wrapping_neg),
            Some('~') => self.unary().map(|v| !v),
            Some(_) => {
                let value = self.sum()?;
                self.operator(&[')'])
                    .map(|_| value)
                    .ok_or_else(|| "')' is missing".into())
            }
            None => self.atom(),
        };
        self.depth -= 1;
        value
    }

    fn atom(&mut self) -> Result<u64, String> {
        let mut chars = self.rest.chars();
        match chars.next() {
            None => Err("the expression has no end".into()),
            Some('\'') => match (chars.next(), chars.next()) {
                (Some(c), Some('\'')) => {
                    self.skip(2 + c.len_utf8());
                    Ok(u64::from(u32::from(c)))
                }
                _ => Err("a character stands between two '".into()),
            },
            Some('$') => {
                let name = leading(&self.rest[1..], |c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
                let value = (self.registers)(name).ok_or_else(|| format!("there is no register '{name}'"))?;
                self.skip(1 + name.len());
                Ok(value)
            }
            Some(_) => self.number(),
        }
    }

    fn number(&mut self) -> Result<u64, String> {
        let word = leading(self.rest, |c| c.is_ascii_alphanumeric());
        let lower = word.to_ascii_lowercase();
        let value = match lower.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None if lower.len() > 1 && lower.starts_with('0') => u64::from_str_radix(&lower[1..], 8),
            None => lower.parse(),
        };
        let shown = if word.is_empty() { self.rest } else { word };
        let value = value.map_err(|_| format!("'{shown}' is no number"))?;
        self.skip(word.len());
        Ok(value)
    }
}

fn leading(text: &str, of: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !of(c)).unwrap_or(text.len())]
}
