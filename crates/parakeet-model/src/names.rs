//! Reads a value back from its name, as users type it.

/// The value of `all` with this name; otherwise a sentence that lists the names there are.
pub(crate) fn named<T: Copy>(
    all: &[T],
    name_of: fn(T) -> &'static str,
    name: &str,
) -> Result<T, String> {
    let found = all.iter().copied().find(|&one| name_of(one) == name);
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().copied().map(name_of).collect();
        format!("`{name}` is unknown, expected one of {}", names.join(", "))
    })
}
