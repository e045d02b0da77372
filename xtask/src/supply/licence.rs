//! Licence expressions, and whether a list of licences permits one.

use anyhow::{Context as _, Result};

/// The licences that deny.toml allows: one list for cargo-deny and for us.
pub(super) struct Allowed(Vec<String>);

impl Allowed {
    /// Reads `allow` in `[licenses]`.
    pub(super) fn of_deny(text: &str) -> Result<Self> {
        let list = text
            .split_once("\nallow = [")
            .and_then(|(_, rest)| Some(rest.split_once("\n]")?.0));
        let list = list.context("deny.toml has no list `allow` of licences")?;
        let names = list
            .lines()
            .map(|line| line.trim().trim_end_matches(','))
            .filter(|line| line.starts_with('"'));
        Ok(Self(
            names.map(|it| it.trim_matches('"').to_owned()).collect(),
        ))
    }

    /// Whether an expression can be met with allowed licences alone: one side of every `OR`, both of
    /// every `AND`. Old manifests write `/` for `OR`. What is no expression is not permitted.
    pub(super) fn permits(&self, expression: &str) -> bool {
        let spaced = expression
            .replace('/', " OR ")
            .replace('(', " ( ")
            .replace(')', " ) ");
        let words: Vec<_> = spaced.split_whitespace().collect();
        let mut rest = words.as_slice();
        let permitted = self.any(&mut rest);
        permitted && rest.is_empty()
    }

    fn any(&self, words: &mut &[&str]) -> bool {
        let mut permitted = self.all(words);
        while next_is(words, "OR") {
            // Both sides are read, whatever the first one says.
            permitted |= self.all(words);
        }
        permitted
    }

    fn all(&self, words: &mut &[&str]) -> bool {
        let mut permitted = self.one(words);
        while next_is(words, "AND") {
            permitted &= self.one(words);
        }
        permitted
    }

    fn one(&self, words: &mut &[&str]) -> bool {
        if next_is(words, "(") {
            return self.any(words) & next_is(words, ")");
        }
        let Some((&name, rest)) = words.split_first() else {
            return false;
        };
        *words = rest;
        // An exception adds a permission: the licence itself is enough.
        if next_is(words, "WITH") {
            *words = words.get(1..).unwrap_or_default();
        }
        self.0.iter().any(|allowed| allowed == name)
    }
}

/// Takes the next word away if it is this one.
fn next_is(words: &mut &[&str], word: &str) -> bool {
    let is = words.first() == Some(&word);
    if is {
        *words = &words[1..];
    }
    is
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expression: &str, permitted: bool) {
        let deny = "[licenses]\nallow = [\n    \"MIT\",\n    # why\n    \"ISC\",\n]\n[bans]\n";
        let allowed = Allowed::of_deny(deny).expect("it has a list");
        assert_eq!(allowed.permits(expression), permitted, "{expression}");
    }

    #[test]
    fn one_side_of_an_or_is_enough_and_an_and_needs_both() {
        check("MIT", true);
        check("GPL-3.0", false);
        check("GPL-3.0 OR MIT", true);
        check("MIT OR GPL-3.0", true);
        check("MIT AND ISC", true);
        check("MIT AND GPL-3.0", false);
        check("GPL-3.0/MIT", true);
    }

    #[test]
    fn and_binds_tighter_than_or() {
        check("GPL-3.0 AND MIT OR ISC", true);
        check("GPL-3.0 AND (MIT OR ISC)", false);
        check("MIT AND (GPL-3.0 OR ISC) AND (ISC OR MIT)", true);
    }

    #[test]
    fn an_exception_adds_to_its_licence() {
        check("MIT WITH LLVM-exception OR GPL-3.0", true);
        check("GPL-3.0 WITH LLVM-exception", false);
    }

    #[test]
    fn what_is_no_expression_is_not_permitted() {
        for text in ["", "MIT MIT", "(GPL-3.0", "GPL-3.0 OR", "MIT)", "()"] {
            check(text, false);
        }
    }
}
