//! Joins recordings of the test set to long ones, whose words and times are therefore known.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use dalston_engine_sdk::audio::{self, AudioLimits};

use crate::{Recording, Spoken, test_set};

/// Samples per second.
const RATE: f64 = 16_000.0;

/// The root mean square to which every sentence is scaled.
const LOUDNESS: f32 = 0.05;

/// What is between two sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// Pauses of 0.3 to 2 s.
    Pauses,
    /// No pause: the first word of a sentence begins where the last word of the sentence before ends.
    NoPauses,
    /// Pauses, and in the middle a silence of half the recording's length.
    LongSilence,
    /// Pauses with noise, 10 dB below the speech.
    Noise,
    /// Pauses, and a step of 30 dB down or up every half minute.
    LevelSteps,
}

impl Joint {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Pauses,
        Self::NoPauses,
        Self::LongSilence,
        Self::Noise,
        Self::LevelSteps,
    ];

    /// The name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pauses => "pauses",
            Self::NoPauses => "no-pauses",
            Self::LongSilence => "long-silence",
            Self::Noise => "noise",
            Self::LevelSteps => "level-steps",
        }
    }
}

impl FromStr for Joint {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|joint| joint.name() == name);
        found.ok_or_else(|| format!("{name} is none of {:?}", Self::ALL.map(Self::name)))
    }
}

/// A long recording with its words and its sentences.
#[derive(Debug)]
pub struct LongRecording {
    /// Samples, mono at 16 kHz, in [-1, 1].
    pub samples: Vec<f32>,
    /// The spoken words, with times in seconds from the start of this recording.
    pub words: Vec<Spoken>,
    /// The range of samples of each sentence, with half of the pause on either side.
    pub sentences: Vec<Range<usize>>,
}

impl LongRecording {
    /// Joins clean recordings of the test set, all scaled to the same loudness, to a recording of about this
    /// many seconds. The same arguments give the same recording.
    pub fn new(joint: Joint, seconds: f64) -> Self {
        let set: Vec<_> = test_set().into_iter().filter(|it| it.is_clean).collect();
        let speech: Vec<_> = set.iter().map(|it| speech(it, joint)).collect();
        let mut chance = Chance(7);
        let mut long = Self {
            samples: Vec::new(),
            words: Vec::new(),
            sentences: Vec::new(),
        };
        let n_samples = (seconds * RATE) as usize;
        let mut order: Vec<usize> = Vec::new();
        let mut is_silent = joint != Joint::LongSilence;
        while long.samples.len() < n_samples {
            if order.is_empty() {
                order = (0..set.len()).collect();
            }
            let (speech, words) = &speech[order.swap_remove(chance.below(order.len()))];
            long.add(speech, words, joint);
            long.pause(joint, &mut chance);
            if !is_silent && long.samples.len() > n_samples / 4 {
                long.samples.resize(long.samples.len() + n_samples / 2, 0.0);
                is_silent = true;
            }
        }
        // The noise of a quiet room, 76 dB below full scale: pauses of real recordings are never digital
        // silence.
        for sample in &mut long.samples {
            *sample = (*sample + 1.6e-4 * chance.noise()).clamp(-1.0, 1.0);
        }
        long.widen_sentences();
        long
    }

    fn add(&mut self, speech: &[f32], words: &[Spoken], joint: Joint) {
        let at = self.samples.len();
        let start = at as f64 / RATE;
        let is_low = joint == Joint::LevelSteps && start % 60.0 >= 30.0;
        let gain = if is_low { 0.0316 } else { 1.0 };
        self.samples
            .extend(speech.iter().map(|sample| sample * gain));
        self.sentences.push(at..self.samples.len());
        self.words.extend(words.iter().map(|spoken| Spoken {
            word: spoken.word.clone(),
            start: start + spoken.start,
            end: start + spoken.end,
        }));
    }

    fn pause(&mut self, joint: Joint, chance: &mut Chance) {
        if joint == Joint::NoPauses {
            return;
        }
        let length = 4800 + chance.below(27_200);
        let level = if joint == Joint::Noise {
            LOUDNESS * 0.316
        } else {
            0.0
        };
        self.samples
            .extend((0..length).map(|_| level * chance.noise()));
    }

    /// Extends each sentence by half of the pause on either side, at most a second.
    fn widen_sentences(&mut self) {
        let mut end = 0;
        for at in 0..self.sentences.len() {
            let limit = self
                .sentences
                .get(at + 1)
                .map_or(self.samples.len(), |it| it.start);
            let sentence = &mut self.sentences[at];
            let half_before = ((sentence.start - end) / 2).min(16_000);
            let half_after = ((limit - sentence.end) / 2).min(16_000);
            end = sentence.end;
            *sentence = sentence.start - half_before..sentence.end + half_after;
        }
    }

    /// Writes a range of the samples as 16-bit WAV.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, samples: Range<usize>, path: &Path) -> io::Result<()> {
        let n_bytes = 2 * samples.len() as u32;
        let mut out = BufWriter::new(File::create(path)?);
        out.write_all(b"RIFF")?;
        out.write_all(&(36 + n_bytes).to_le_bytes())?;
        out.write_all(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data")?;
        out.write_all(&n_bytes.to_le_bytes())?;
        for sample in &self.samples[samples] {
            out.write_all(&((sample * 32_767.0).round() as i16).to_le_bytes())?;
        }
        out.flush()
    }
}

/// The samples and words of a recording of the test set, scaled to [`LOUDNESS`]. For [`Joint::NoPauses`] they
/// are cut to the range from the first word to the last one.
fn speech(recording: &Recording, joint: Joint) -> (Vec<f32>, Vec<Spoken>) {
    let Recording { path, words, .. } = recording;
    let mut speech = audio::load(path, &AudioLimits::default())
        .unwrap_or_else(|why| panic!("{}: {why}", path.display()))
        .samples;
    let mut words = words.clone();
    let loudness = (speech.iter().map(|x| x * x).sum::<f32>() / speech.len() as f32).sqrt();
    speech
        .iter_mut()
        .for_each(|sample| *sample *= LOUDNESS / loudness);
    if joint == Joint::NoPauses
        && let [first, .., last] | [first @ last] = &words[..]
    {
        let (start, end) = (first.start, last.end);
        speech.truncate((end * RATE) as usize);
        speech.drain(..(start * RATE) as usize);
        for spoken in &mut words {
            spoken.start -= start;
            spoken.end -= start;
        }
    }
    (speech, words)
}

/// SplitMix64 (Steele et al. 2014): the same random numbers on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// White noise of variance 1, as a scaled sum of four uniform numbers.
    fn noise(&mut self) -> f32 {
        let bits = self.next();
        let uniform = |at: u32| ((bits >> (16 * at)) & 0xFFFF) as f32 / 65_536.0 - 0.5;
        (0..4).map(uniform).sum::<f32>() * 3f32.sqrt()
    }
}
