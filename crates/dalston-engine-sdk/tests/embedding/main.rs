//! Checks that docs/embedding.md quotes the example exactly, and runs the example's own tests.

#[path = "../../examples/loudness/engine.rs"]
mod engine;

const GUIDE: &str = include_str!("../../../../docs/embedding.md");
const ENGINE: &str = include_str!("../../examples/loudness/engine.rs");
const PROGRAM: &str = include_str!("../../examples/loudness/main.rs");

/// The code blocks of a language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let opened = GUIDE.split(fence.as_str()).skip(1);
    opened
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect()
}

#[test]
fn the_guide_quotes_the_example_to_the_letter() {
    let blocks = blocks("rust");
    assert_eq!(
        blocks.len(),
        3,
        "the engine, its tests and the program are quoted"
    );
    for block in blocks {
        assert!(
            ENGINE.contains(block) || PROGRAM.contains(block),
            "examples/loudness does not hold this block of docs/embedding.md; copy it there or back:\n{block}"
        );
    }
}

#[test]
fn the_quoted_blocks_are_the_whole_example() {
    let blocks = blocks("rust");
    let (engine, program) = (format!("{}\n{}", blocks[0], blocks[1]), blocks[2]);
    assert_eq!(engine, ENGINE);
    assert_eq!(program, PROGRAM);
}

#[test]
fn the_dependencies_of_the_guide_are_those_that_the_example_uses() {
    let manifest = blocks("toml").concat();
    let used = |name: &str| {
        let name = format!("{}::", name.replace('-', "_"));
        ENGINE.contains(&name) || PROGRAM.contains(&name)
    };
    let listed: Vec<_> = manifest
        .lines()
        .filter_map(|line| Some(line.split_once(" = ")?.0))
        .filter(|name| !["name", "version", "edition"].contains(name))
        .collect();
    for name in ["dalston-engine-sdk", "serde_json", "tempfile", "tokio"] {
        assert!(listed.contains(&name), "{name} is not listed: {listed:?}");
    }
    for name in listed {
        assert!(used(name), "{name} is listed and not used");
    }
}
