"""Run as a program: eSpeak NG speaks what it reads, from a state that nothing before has touched.

eSpeak NG seeds its flutter by the clock and keeps its phases from one utterance to the next, so
only a fresh process with a seed of its own speaks a list of lines the same each time. It
needs no more than the espeakng-loader wheel, to start at once.

In: a JSON list of objects with text, voice, words_per_minute and pitch. Out: a line of JSON with
rate_hz and the number of samples of each, then the samples, 16 bits each.
"""

import ctypes
import json
import sys

import espeakng_loader

# Names and values of espeak-ng's speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
DONT_EXIT = 0x8000
CHARS_UTF8 = 1
PARAMETER_RATE, PARAMETER_PITCH = 1, 3
POSITION_CHARACTER = 1
CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def main() -> None:
    path = str(espeakng_loader.get_data_path())
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate_hz = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, path.encode(), DONT_EXIT)
    if rate_hz <= 0:
        sys.exit(f"it cannot read its data in {path} (code {rate_hz})")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    heard: list[bytes] = []

    @CALLBACK
    def keep(samples, n_samples, _events):
        if samples and n_samples > 0:
            heard.append(ctypes.string_at(samples, 2 * n_samples))
        return 0

    library.espeak_SetSynthCallback(keep)
    spoken = []
    for line in json.load(sys.stdin):
        heard.clear()
        if library.espeak_SetVoiceByName(line["voice"].encode()) != 0:
            sys.exit(f"it has no voice {line['voice']!r}")
        library.espeak_SetParameter(PARAMETER_RATE, line["words_per_minute"], 0)
        library.espeak_SetParameter(PARAMETER_PITCH, line["pitch"], 0)
        text = line["text"].encode()
        library.espeak_Synth(text, len(text) + 1, 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None)
        library.espeak_Synchronize()
        spoken.append(b"".join(heard))
    header = {"rate_hz": rate_hz, "n_samples": [len(sound) // 2 for sound in spoken]}
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + b"".join(spoken))


if __name__ == "__main__":
    main()
