#!/bin/sh
# Writes the encoded chirps of this folder. Needs ffmpeg and metaflac; the tests do not.
set -eu
cd "$(dirname "$0")"

# Half a second from 200 to 3000 Hz at half of full scale; tests/audio/chirp.rs has the same formula.
chirp='0.5*sin(2*PI*(200*t+2800*t*t))'

# encode RATE CHANNELS FILE [ENCODER OPTION]...
encode() {
    rate=$1 channels=$2 file=$3
    shift 3
    expressions=$chirp
    for _ in $(seq 2 "$channels"); do
        expressions="$expressions|$chirp"
    done
    ffmpeg -v error -y -f lavfi -i "aevalsrc='$expressions':s=$rate:d=0.5" \
        -map_metadata -1 -fflags +bitexact -flags:a +bitexact "$@" "$file"
}

# Read. AAC at 32 kHz, because its delay of 1024 frames is then whole samples at 16 kHz.
encode 16000 1 pcm.wav -c:a pcm_s16le
ffmpeg -v error -y -i pcm.wav -map_metadata -1 -fflags +bitexact -flags:a +bitexact pcm.flac
encode 44100 2 flac_16.flac -c:a flac -sample_fmt s16
encode 96000 1 flac_24.flac -c:a flac -sample_fmt s32 -bits_per_raw_sample 24
metaflac --dont-use-padding --remove --block-type=PADDING pcm.flac flac_16.flac flac_24.flac
encode 44100 2 flac.oga -c:a flac -page_duration 100000
encode 44100 2 vorbis.ogg -c:a libvorbis -q:a 3 -page_duration 100000
encode 44100 1 vorbis.webm -c:a libvorbis -q:a 3 -cluster_time_limit 100
encode 44100 2 lame_tag.mp3 -c:a libmp3lame -b:a 64k
encode 22050 1 half_rate.mp3 -c:a libmp3lame -b:a 32k
encode 44100 1 no_tag_128k.mp3 -c:a libmp3lame -b:a 128k -write_xing 0 -id3v2_version 0
encode 44100 1 no_tag_32k.mp3 -c:a libmp3lame -b:a 32k -write_xing 0 -id3v2_version 0
encode 16000 1 layer2.mp2 -c:a mp2 -b:a 64k
encode 32000 2 aac.m4a -c:a aac -b:a 128k -aac_coder fast -aac_pns 0 -movflags +faststart
encode 32000 1 aac_fragments.mp4 -c:a aac -b:a 128k -aac_coder fast -aac_pns 0 -movflags empty_moov -frag_duration 100000
encode 32000 1 aac.aac -c:a aac -b:a 128k -aac_coder fast -aac_pns 0
encode 32000 1 aac.mka -c:a aac -b:a 128k -aac_coder fast -aac_pns 0 -cluster_time_limit 100
encode 44100 1 alac.m4a -c:a alac
encode 44100 1 alac.caf -c:a alac
encode 22050 1 pcm.caf -c:a pcm_s16le
encode 22050 1 pcm.aiff -c:a pcm_s16be
encode 22050 1 pcm.mov -c:a pcm_s16le
encode 22050 1 adpcm_ms.wav -c:a adpcm_ms
encode 22050 1 adpcm_ima.wav -c:a adpcm_ima_wav
video='testsrc=d=0.5:s=32x32:r=4'
ffmpeg -v error -y -f lavfi -i "$video" -i pcm.wav -c:v mpeg4 -c:a aac -b:a 128k -aac_coder fast -aac_pns 0 -ar 32000 \
    -map_metadata -1 -fflags +bitexact -flags:v +bitexact -flags:a +bitexact video.mp4
ffmpeg -v error -y -i pcm.wav -i no_tag_32k.mp3 -map 0:a -map 1:a -c:a libvorbis -q:a 0 \
    -map_metadata -1 -fflags +bitexact -flags:a +bitexact two_tracks.mka

# Not read, and named in the error.
encode 48000 1 opus.opus -c:a libopus -b:a 16k
encode 48000 1 opus.webm -c:a libopus -b:a 16k
encode 48000 1 opus.mp4 -c:a libopus -b:a 16k
encode 48000 1 ac3.mka -c:a ac3 -b:a 64k
encode 48000 1 eac3.mp4 -c:a eac3 -b:a 64k
encode 48000 6 surround.m4a -c:a aac -b:a 128k -aac_coder fast -aac_pns 0
encode 16000 1 speex.spx -c:a libspeex
encode 44100 1 wmav2.wma -c:a wmav2 -b:a 48k
ffmpeg -v error -y -f lavfi -i "$video" -c:v mpeg4 \
    -map_metadata -1 -fflags +bitexact -flags:v +bitexact video_only.mp4
