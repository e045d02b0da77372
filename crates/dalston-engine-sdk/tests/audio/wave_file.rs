//! Writes WAV files with correct and with wrong headers.

/// A WAV file before it is written. All fields may be set to anything.
#[derive(Clone)]
pub(crate) struct WaveFile {
    pub(crate) format_tag: u16,
    pub(crate) n_channels: u16,
    pub(crate) rate_hz: u32,
    pub(crate) block_align: u16,
    pub(crate) bits_per_sample: u16,
    /// The `fmt ` chunk after its first 16 bytes.
    pub(crate) format_extension: Vec<u8>,
    /// Whole chunks between `fmt ` and `data`.
    pub(crate) other_chunks: Vec<u8>,
    pub(crate) data: Vec<u8>,
    /// The lengths in the headers; the true lengths where `None`.
    pub(crate) stated_riff_len: Option<u32>,
    pub(crate) stated_data_len: Option<u32>,
}

impl WaveFile {
    /// PCM integers (tag 1), floats (3), A-law (6) or mu-law (7), already interleaved and encoded.
    pub(crate) fn new(
        format_tag: u16,
        bits_per_sample: u16,
        rate_hz: u32,
        n_channels: u16,
        data: Vec<u8>,
    ) -> Self {
        // A-law and mu-law files contain the length of an empty extension.
        let format_extension = if format_tag > 3 {
            vec![0, 0]
        } else {
            Vec::new()
        };
        Self {
            format_tag,
            n_channels,
            rate_hz,
            block_align: n_channels * bits_per_sample / 8,
            bits_per_sample,
            format_extension,
            other_chunks: Vec::new(),
            data,
            stated_riff_len: None,
            stated_data_len: None,
        }
    }

    /// A file of 16-bit mono.
    pub(crate) fn pcm_16(rate_hz: u32, samples: &[i16]) -> Self {
        let data = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self::new(1, 16, rate_hz, 1, data)
    }

    /// A file of interleaved 32-bit floats.
    pub(crate) fn float_32(rate_hz: u32, n_channels: u16, samples: &[f32]) -> Self {
        let data = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self::new(3, 32, rate_hz, n_channels, data)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut format = Vec::new();
        format.extend(self.format_tag.to_le_bytes());
        format.extend(self.n_channels.to_le_bytes());
        format.extend(self.rate_hz.to_le_bytes());
        format.extend(
            self.rate_hz
                .wrapping_mul(self.block_align.into())
                .to_le_bytes(),
        );
        format.extend(self.block_align.to_le_bytes());
        format.extend(self.bits_per_sample.to_le_bytes());
        format.extend(&self.format_extension);

        let mut body = b"WAVE".to_vec();
        body.extend(chunk(b"fmt ", &format));
        body.extend(&self.other_chunks);
        body.extend(b"data");
        body.extend(
            self.stated_data_len
                .unwrap_or(self.data.len() as u32)
                .to_le_bytes(),
        );
        body.extend(&self.data);

        let mut file = b"RIFF".to_vec();
        file.extend(
            self.stated_riff_len
                .unwrap_or(body.len() as u32)
                .to_le_bytes(),
        );
        file.extend(body);
        file
    }
}

/// A RIFF chunk with its true length.
pub(crate) fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut chunk = name.to_vec();
    chunk.extend((body.len() as u32).to_le_bytes());
    chunk.extend(body);
    chunk
}
