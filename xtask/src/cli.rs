//! The command line of xtask.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Automation of the Parakeet engine.
///
/// On a fresh clone, `cargo xtask demo` needs Rust, python3 and a C++ compiler, and fetches the rest.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a fresh checkout ready: afterwards plain `cargo build` and rust-analyzer work
    ///
    /// Creates .venv with PyTorch 2.11.0 and the link .libtorch to it. A LIBTORCH in your
    /// environment (libtorch 2.11.0, absolute path) is linked instead; .venv is made all the same,
    /// because the exporter is Python. Called again it does nothing and needs no network. Two commands at
    /// once wait for each other. What was interrupted is made again by the next command.
    Setup(SetupArguments),

    /// Show speech turning into words: sets up, builds, transcribes shipped recordings
    Demo,

    /// Run every check and every test; ends with `N passed, N failed`
    ///
    /// In order: formatting, tidy, dependencies, the files of deploy, counts of
    /// instructions, the Python tests, clippy, docs, then all Rust tests and doc tests. With CI=true a
    /// skipped test is a failure.
    Test(TestArguments),

    /// Turn a NeMo checkpoint, yours or the hub's, into a bundle that parakeet-worker loads
    ///
    /// A model of the hub is fetched by the hub's own client and its variables: HF_HOME for the cache,
    /// HF_TOKEN, HF_ENDPOINT for a mirror, HF_HUB_OFFLINE. What is interrupted goes on in the next run.
    ExportModel(ExportArguments),

    /// Fetch a model, export it, transcribe real recordings, and check every promise about it
    ///
    /// One line for each point of the engine's checklist: ok, FAILED, or not run and why. Exit code 1
    /// when one failed.
    Verify(VerifyArguments),

    /// Compare with NeMo 2.7.3: features, encoder output, every token and its frame
    ///
    /// Installs NeMo into .venv-nemo first (several gigabytes, once).
    Parity(ParityArguments),

    /// Time ours and its peers, NeMo and onnx-asr, on the same recordings and weights, in turn
    ///
    /// On the CPU, with a random rnnt-0.6b of true size that speaks. Installs the peers first (several
    /// gigabytes, once), and needs 24 GB of memory and 15 of disk. An hour on two cores, which nothing
    /// else should use; `-- --tasks "30 s"` takes some minutes, `-- --help` lists more.
    Bench(BenchArguments),

    /// Count the instructions of search, words and cutting; fails if there are more or fewer than before
    ///
    /// Under valgrind's callgrind, on x86-64 Linux. benches/instructions.tsv has what there were.
    Instructions(InstructionArguments),

    /// Build the image with the tiny model, try it, print its parts; write models as archives
    ///
    /// With docker; without it with buildah, on a Debian that mmdebstrap makes (as root).
    Package(PackageArguments),

    /// Write the generated part of engine.yaml: the schemas of a task's settings and of the output
    Schema(SchemaArguments),

    /// Invent inputs for one of the functions that read untrusted data, until one breaks a promise
    Fuzz(FuzzArguments),

    /// Check dependencies: licences, sources, arrows between crates, unused ones; with --out, write notices
    /// and a bill of materials (CycloneDX 1.6); with --advisories, ask for known faults
    Supply(SupplyArguments),

    /// Check the rules that hold the code base together; see ARCHITECTURE.md
    Tidy,
}

#[derive(Args)]
pub(crate) struct SetupArguments {
    /// The build of PyTorch; an installed other one is replaced [default: what is installed; at first cuda with
    /// an NVIDIA driver, else cpu]
    #[arg(long, value_enum)]
    pub(crate) torch: Option<TorchBuild>,
}

/// A build of PyTorch for Linux. For macOS there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TorchBuild {
    /// Without CUDA, about a tenth of the download: from PyTorch's index for CPUs, or from the index that pip
    /// is set to use (PIP_INDEX_URL, pip.conf). If that index lacks it, the same as cuda
    Cpu,
    /// Runs on CPUs and NVIDIA GPUs, 2.7 GB: from the index that pip is set to use
    Cuda,
}

#[derive(Args)]
pub(crate) struct TestArguments {
    /// Run the tests of one tier only, without formatting, clippy, tidy and docs
    #[arg(long, value_enum)]
    pub(crate) tier: Option<Tier>,
}

/// The tier of tests to run. docs/testing.md says which tests belong to which tier.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tier {
    /// Logic: no libtorch, no Python, under a second once compiled
    #[value(name = "1")]
    Logic,
    /// Contract: the queue and the store, on real servers; no libtorch
    #[value(name = "2")]
    Contract,
    /// Numeric: the exporter, and the tiny model through libtorch
    #[value(name = "3")]
    Numeric,
    /// Whole: the binary on recordings
    #[value(name = "4")]
    Whole,
}

#[derive(Args)]
pub(crate) struct ExportArguments {
    /// A `.nemo` file, or a model of the hub: nvidia/parakeet-rnnt-0.6b, parakeet-rnnt-0.6b
    #[arg(required_unless_present = "random_init")]
    pub(crate) checkpoint: Option<String>,

    /// Folder to write the bundle to; for a model with an id, by default where the worker looks for
    /// it: in DALSTON_MODEL_DIR, else in models, for example models/nvidia--parakeet-rnnt-0.6b
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Compute types to write, one archive each
    #[arg(long, value_name = "TYPE,...", default_value = "float32")]
    pub(crate) dtype: String,

    /// The model's name in the manifest; by default the hub's, or that of the file. A published model's
    /// name may be short: parakeet-rnnt-0.6b
    #[arg(long, value_name = "ID")]
    pub(crate) model_id: Option<String>,

    /// Write random weights of a true size instead of a checkpoint's, for benchmarks; for example
    /// rnnt-0.6b
    #[arg(long, value_name = "NAME", conflicts_with = "checkpoint")]
    pub(crate) random_init: Option<String>,

    /// Further options of the exporter, after `--`; `-- --help` lists them
    #[arg(last = true, value_name = "OPTION")]
    pub(crate) more: Vec<String>,
}

#[derive(Args)]
pub(crate) struct VerifyArguments {
    /// A model of the hub: nvidia/parakeet-rnnt-0.6b, parakeet-rnnt-0.6b, or any OWNER/NAME
    pub(crate) model: String,

    /// Another one, to change to and back; not fetched when its bundle is there
    #[arg(long, value_name = "MODEL")]
    pub(crate) switch_to: Option<String>,

    /// Recordings, with what is spoken in them in DIR/transcripts.tsv [default: tests/data/speech]
    #[arg(long, value_name = "DIR")]
    pub(crate) recordings: Option<PathBuf>,

    /// Compute types to export
    #[arg(long, value_name = "TYPE,...", default_value = "float32,bfloat16")]
    pub(crate) dtype: String,

    /// A parakeet-worker to run, instead of building one
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) worker: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ParityArguments {
    /// Compare the whole test set instead of a sample, every compute type, and true sizes as well
    #[arg(long)]
    pub(crate) full: bool,

    /// Write what NeMo says to tests/data/goldens, for tests without NeMo
    #[arg(long)]
    pub(crate) write_goldens: bool,

    /// Compare these random models alone; xtask/python/parity/nemo_config.py lists them
    #[arg(long, value_name = "NAME,...")]
    pub(crate) models: Option<String>,
}

#[derive(Args)]
pub(crate) struct BenchArguments {
    /// Options of benches/compare.py, after `--`
    #[arg(last = true, value_name = "OPTION")]
    pub(crate) more: Vec<String>,
}

#[derive(Args)]
pub(crate) struct InstructionArguments {
    /// Write the counts instead of comparing with them
    #[arg(long)]
    pub(crate) write: bool,
}

#[derive(Args)]
pub(crate) struct FuzzArguments {
    /// Which function
    #[arg(value_enum)]
    pub(crate) target: FuzzTarget,

    /// How long
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u32,

    /// Further options of libFuzzer, after `--`; `-- -help=1` lists them
    #[arg(last = true, value_name = "OPTION")]
    pub(crate) more: Vec<String>,
}

/// The inputs that users of the engine can send. Each has a program in the package `fuzz`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FuzzTarget {
    /// Audio files
    Audio,
    /// Requests, messages and settings of tasks
    Tasks,
    /// Manifests of bundles
    Manifest,
    /// URIs of objects
    Uri,
}

impl FuzzTarget {
    /// The name of the program and of its folder of inputs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Tasks => "tasks",
            Self::Manifest => "manifest",
            Self::Uri => "uri",
        }
    }

    /// Whether the program links libtorch.
    pub(crate) fn needs_libtorch(self) -> bool {
        matches!(self, Self::Tasks | Self::Manifest)
    }

    /// The folders of inputs from which libFuzzer starts.
    pub(crate) fn seeds(self) -> &'static [&'static str] {
        match self {
            Self::Audio => &["fuzz/corpus/audio", "tests/data/audio"],
            Self::Tasks => &["fuzz/corpus/tasks"],
            Self::Manifest => &["fuzz/corpus/manifest"],
            Self::Uri => &["fuzz/corpus/uri"],
        }
    }
}

#[derive(Args)]
pub(crate) struct PackageArguments {
    /// Further bundles to archive and to list, folders; the tiny model always is
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundles: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct SupplyArguments {
    /// Folder to write THIRD_PARTY.txt and parakeet-worker.cdx.json to
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Ask RustSec's database on GitHub for known faults of what Cargo.lock names
    #[arg(long)]
    pub(crate) advisories: bool,

    /// Model bundles that the bill lists, folders
    #[arg(value_name = "BUNDLE", requires = "out")]
    pub(crate) bundles: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct SchemaArguments {
    /// Write nothing; fail if the file is behind
    #[arg(long)]
    pub(crate) check: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parses(line: &str) -> bool {
        Cli::try_parse_from(line.split_whitespace()).is_ok()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_export_takes_a_checkpoint_or_random_weights_and_not_both() {
        assert!(parses("xtask export-model a.nemo --out b"));
        assert!(parses("xtask export-model --random-init rnnt-0.6b --out b"));
        assert!(parses("xtask export-model nvidia/parakeet-rnnt-0.6b"));
        assert!(!parses("xtask export-model --out b"));
        assert!(!parses(
            "xtask export-model a.nemo --random-init rnnt-0.6b --out b"
        ));
    }

    #[test]
    fn set_up_takes_one_of_two_builds() {
        assert!(parses("xtask setup"));
        assert!(parses("xtask setup --torch cpu"));
        assert!(parses("xtask setup --torch cuda"));
        assert!(!parses("xtask setup --torch rocm"));
    }

    #[test]
    fn tiers_go_by_their_numbers() {
        assert!(parses("xtask test --tier 3"));
        assert!(parses("xtask test --tier 2"));
        assert!(!parses("xtask test --tier 5"));
    }
}
