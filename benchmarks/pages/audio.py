"""The page of audio: what is kept of time within a TR, and what is heard of it."""

from benchmarks.pages.tables import (
    cell,
    gain,
    label,
    number,
    on,
    picture,
    rows,
    score,
    spread,
    table,
    verdict,
)

_SIZES = (64, 128, 256, 512)
_HEARD_SIZES = (*_SIZES, 1024)
_BANDS = ("under 2 Hz", "2-4 Hz", "4-8 Hz", "8-16 Hz", "over 16 Hz")
_WORDS = {"Whisper": "ASR accuracy", "Moonshine": "ASR accuracy, Moonshine"}


@on("audio", "How much of a TR's sound survives in N numbers?", "speech", bench="speech")
def _kept():
    bands = [f"within-TR R² {band}" for band in _BANDS]
    return [
        "Within-TR R² is 0 for averaging and 1 for a perfect reconstruction. One reader: 100 "
        "utterances to learn from, 16 others to score, TR 1.5 s, 64 × 128 log-mel, three seeds.",
        picture("speech", "Within-TR R² of speech by floats per TR"),
        table(
            ["floats per TR", "averaging", "PCA", "PCA, augmented speech too", "tier 1",
             "gain of tier 1 over PCA"],
            [[n, *(cell("speech", "within-TR R²", of, n, 3)
                   for of in ("mean", "PCA", "PCA, copies too", "tier1")),
              cell("speech", "gain over PCA", "tier1", n, 3, True)] for n in _SIZES],
        ),
        "By modulation rate, at 128 floats:",
        table(
            ["", *_BANDS],
            [[label(of), *(cell("speech", band, of, 128, 3) for band in bands)]
             for of in ("PCA", "tier1")],
        ),
        "PCA is hard to beat. The gain comes from a decoder that redraws the linear "
        "reconstruction, from fitting each TR's vector to that decoder, and from speed and pitch "
        "augmentation. At 128 floats the convolutions before the vector add "
        f"{gain('speech', 'gain over no encoder', 'tier1', 128, 3)}. PCA is fitted on windows that "
        "start at every frame; fitted on windows at TR borders alone it keeps less.",
    ]  # fmt: skip


@on("audio", "Which encoder keeps most?", "speech_encoders", "speech_beside_pca", bench="encoders")
def _audio_encoders():
    encoders = [
        of for of in rows("speech_encoders")["system"].unique() if of not in ("mean", "PCA")
    ]
    alone = [score("speech_encoders", "within-TR R²", of, 128)["value"] for of in encoders]
    beside = [score("speech_beside_pca", "within-TR R²", f"PCA + {of}")["value"] for of in encoders]
    best = encoders[alone.index(max(alone))]
    return [
        "Within-TR R² of the same speech. Left: from random weights, 300 steps, equally many "
        "parameters and a linear decoder. Last column: beside a vector that starts at PCA, with "
        "the decoder that redraws, 128 floats.",
        table(
            ["encoder", *map(str, _SIZES), "beside PCA, 128"],
            [[of, *(cell("speech_encoders", "within-TR R²", of, n) for n in _SIZES),
              cell("speech_beside_pca", "within-TR R²", f"PCA + {of}", digits=3)]
             for of in encoders]
            + [["PCA", *(cell("speech_encoders", "within-TR R²", "PCA", n) for n in _SIZES), ""]],
        ),
        f"Alone they keep {spread(alone)} at 128 floats, most with `{best}`, all less than PCA. "
        f"Beside PCA it does not matter which encoder it is: {number(min(beside), 3)} to "
        f"{number(max(beside), 3)}.",
    ]  # fmt: skip


@on("audio", "Which aggregator keeps most?", "speech_aggregators", "modulation_transfer",
    bench="encoders")  # fmt: skip
def _audio_aggregators():
    of_128 = rows("speech_aggregators").query("metric == 'within-TR R²' and floats_per_tr == 128")
    ranked = list(of_128.sort_values("value", ascending=False)["system"])
    return [
        "Within-TR R² behind one multi-scale encoder, all trained alike, from random weights.",
        table(
            ["aggregator", *map(str, _SIZES)],
            [[f"`{of}`", *(cell("speech_aggregators", "within-TR R²", of, n) for n in _SIZES)]
             for of in ranked],
        ),
        "Aggregators that know each frame's place keep most; means, the nearest frame and "
        f"attention keep least. Best at 128 floats: `{ranked[0]}`; worst: `{ranked[-1]}`.",
        picture("modulation_transfer", "Modulation that comes back in phase, by aggregator"),
        "The same in the modulation domain: autoencoders of 128 floats are driven at one rate, "
        "and the part that comes back in phase is measured, before and after training.",
    ]  # fmt: skip


@on("audio", "Is the order of frames within the TR kept?", "order", bench="encoders_order")
def _order():
    of = rows("order").groupby(["stimulus", "system", "aggregator"])["accuracy"].mean()
    blind = [key for key in of.index if "linear, " in key[1] or "without position" in key[1]
             or "frame2d" in key[1]]  # fmt: skip
    sees = of.drop(blind)
    return [
        "Each TR runs forwards or backwards; a linear classifier of the TR's vector must say "
        "which, in unseen time. Chance is 0.50. Stimulus: speech, speech that grows louder over "
        "the TR (easier; used for attention), or film.",
        table(
            ["stimulus", "encoder", "aggregator", "accuracy"],
            [[*key, number(value)] for key, value in of.items()],
        ),
        f"Every encoder that sees time tells them apart when its latents are averaged "
        f"({spread(sees.xs('mean', level='aggregator'))}). Linear and 2-D encoders, and attention "
        f"without positions, stay at chance ({spread(of[blind])}). TimeSformer was given learned "
        "relative positions here, not its paper's absolute ones.",
    ]


@on("audio", "What does it keep for equally many bits?", "quantised", "heard_bits",
    bench="quantised")  # fmt: skip
def _bits():
    lines = []
    for bits in (32, 96, 160):
        better = f"gain over PCA, {bits} bits, allotted"
        of = f"codes, {bits} bits"
        floats = [f"PCA, {bits} bits, {how}" for how in ("uniform", "allotted")]
        lines.append([bits, *(cell("quantised", "within-TR R²", one, digits=3)
                              for one in (*floats, of)),
                      cell("quantised", better, of, digits=3, interval=True)])  # fmt: skip
    return [
        "Coarse codes a TR and fine codes each eighth of it (residual vector quantisation), beside "
        "components of PCA rounded to as many bits: as many each, or each bit where the error is "
        "largest. Within-TR R², three seeds.",
        table(
            ["bits per TR", "PCA, equal bits", "PCA, allotted bits", "codes", "gain of codes"],
            lines,
        ),
        "In words understood by Whisper (ceiling "
        f"{cell('intelligibility', 'ASR accuracy', 'round trip')}), from 512 floats rounded to N "
        "bits:",
        table(
            ["bits per TR", "PCA", "tier 1", "STOI of tier 1"],
            [[bits, *(cell("heard_bits", "ASR accuracy", f"{of}, {bits} bits", interval=True)
                      for of in ("PCA", "tier1")),
              cell("heard_bits", "stoi", f"tier1, {bits} bits")] for bits in (1024, 2048, 4096)],
        ),
        "The number of floats limits tier 1, not their precision. With the fewest bits PCA does "
        "better.",
    ]  # fmt: skip


@on("audio", "How many words are understood?", "intelligibility", "heard", "more_speech",
    bench="words")  # fmt: skip
def _words():
    lines = []
    for n in _HEARD_SIZES:
        for judge, metric in _WORDS.items():
            line = [cell("intelligibility", metric, of, n)
                    for of in ("PCA", "PCA fitted", "tier1", "tier1 fitted")]  # fmt: skip
            line += [cell("heard", metric, "tier1_heard", n, interval=True)]
            line += [cell("more_speech", metric, "tier1_more_speech", n, interval=True)]
            lines.append([n, judge, *line, cell("intelligibility", metric, "round trip")])
    kept = [cell("intelligibility", "within-TR R²", of, 128, 3) for of in ("tier1", "tier1 fitted")]
    share = {judge: _of_ceiling("heard", metric, "tier1_heard", 128)
             for judge, metric in _WORDS.items()}  # fmt: skip
    floor = cell("intelligibility", "ASR accuracy", "mean")
    return [
        "16 unseen utterances of the same reader (149 words), log-mel of 80 bands and 129 frames a "
        "TR, made audible by Griffin-Lim. Score: 1 − word error rate; below 0, a judge invents "
        f"more than it hears. Averages: {floor} before Whisper. *Fitted* means that each TR's "
        "vector is fitted, from that TR alone, to what Whisper's `tiny.en` hears in it; so "
        "Whisper `base` and Moonshine, which shares neither weights nor input with it, judge.",
        picture("intelligibility", "Words, STOI and within-TR R² by floats per TR"),
        table(
            ["floats per TR", "judge", "PCA", "PCA, fitted", "tier 1", "tier 1, fitted",
             "`tier1_heard`", "`tier1_more_speech`", "ceiling"],
            lines,
        ),
        f"At 128 floats `tier1_heard` keeps {share['Whisper']} of what Whisper and "
        f"{share['Moonshine']} of what Moonshine understands of the original. Within-TR R² "
        "flatters: PCA loses six words of ten at a value near 0.9, and what a decoder redraws is "
        "worth more to a listener than to the error.",
        f"Fitting has its price: 40 steps for each TR, and within-TR R² of tier 1 at 128 floats "
        f"goes from {kept[0]} to {kept[1]}.",
        "`tier1_heard` has a decoder of three members and learns from `tiny.en` too; its nine "
        "trainings ran on one NVIDIA H100, and weights were rounded to half precision before they "
        "were judged. Whisper is supervised by transcripts: this is no unsupervised result.",
    ]  # fmt: skip


def _of_ceiling(name: str, metric: str, system: str, floats=None) -> str:
    """The share of what a judge understands of the original; of several judges, their own."""
    top = name if "round trip" in set(rows(name)["system"]) else "intelligibility"
    whole = score(top, metric, "round trip")["value"]
    return number(score(name, metric, system, floats)["value"] / whole)


@on("audio", "Does more speech to learn from help?", "more_speech", "more_speech_voice",
    bench="more_speech")  # fmt: skip
def _more_speech():
    share = [
        _of_ceiling("more_speech_voice", metric, of)
        for of in ("tier1_more_speech", "PCA fitted")
        for metric in _WORDS.values()
    ]
    return [
        "There are 3.7 minutes of the reader to learn from. `tier1_more_speech` has a larger "
        "decoder and takes half of each batch from 87 minutes of a synthetic voice (`make voice`). "
        "Within-TR R² and STOI of the reader at 128 floats:",
        table(
            ["", "within-TR R²", "STOI"],
            [[label(of), cell(name, "within-TR R²", of, 128, 3), cell(name, "stoi", of, 128, 3)]
             for name, of in (("heard", "tier1_heard"), ("more_speech", "tier1_more_speech"))],
        ),
        "It draws the reader a little better, but the intervals of their words overlap (previous "
        "table): another voice's minutes do not stand in for the reader's. They do for "
        "the voice itself. Of 48 other sentences of it (756 words), at 128 floats, it keeps "
        f"{share[0]} of what Whisper and {share[1]} of what Moonshine understands of them whole; "
        f"fitted PCA {share[2]} and {share[3]}. So minutes of speech are missing, not floats. A "
        "synthetic voice varies less than a person's, so this is a best case.",
        "Decoder and share were chosen by one seed's validation loss, when test words of other "
        "settings had been seen. The six trainings ran on one NVIDIA H100.",
    ]  # fmt: skip


@on("audio", "And through HiFi-GAN?", "heard_hifi_gan", "more_speech_hifi_gan",
    bench="words")  # fmt: skip
def _hifi_gan():
    systems = ("PCA fitted", "tier1 fitted", "tier1_heard")
    lines = [
        [n, judge, *(cell("heard_hifi_gan", metric, of, n, interval=True) for of in systems),
         cell("more_speech_hifi_gan", metric, "tier1_more_speech", n, interval=True),
         cell("heard_hifi_gan", metric, "round trip")]
        for n in (128, 512) for judge, metric in _WORDS.items()
    ]  # fmt: skip
    return [
        "The same vectors and words, made audible by HiFi-GAN, a vocoder that learned speech.",
        table(["floats per TR", "judge", *map(label, systems), "`tier1_more_speech`", "ceiling"],
              lines),
        "The picture is that of Griffin-Lim. HiFi-GAN has a slightly lower ceiling, and at 512 "
        "floats every system comes near it.",
    ]  # fmt: skip


@on("audio", "Do other losses help?", "sound_losses", bench="audio_losses")
def _sound_losses():
    names = {
        "squared error": "squared error",
        "multi_receptive": "and decoder `multi_receptive`",
        "within_tr": "and `within_tr: 1.0`",
        "spectral": "and `spectral: 0.03`",
        "coherence": "and `coherence: 1.0`",
        "adversarial": "and `adversarial: 0.003`",
    }
    gains = {
        of: score("sound_losses", "gain over the squared error", f"tier1, {of}")
        for of in names
        if of != "squared error"
    }
    better = [of for of, row in gains.items() if verdict(row) == "above 0"]
    top = score("sound_losses", "ASR accuracy", "tier1, spectral")["ceiling"]
    return [
        "Tier 1 of `params/smoke` at 128 floats on the same reader, 12 epochs, vectors not fitted, "
        f"three seeds. Words by Whisper `tiny.en`; ceiling {number(top)}.",
        table(
            ["trained by", "within-TR R²", "gain over the squared error", "words"],
            [[text, cell("sound_losses", "within-TR R²", f"tier1, {of}", digits=3, interval=True),
              cell("sound_losses", "gain over the squared error", f"tier1, {of}", None, 4, True),
              cell("sound_losses", "ASR accuracy", f"tier1, {of}", interval=True)]
             for of, text in names.items()],
        ),
        f"Losses with a gain above 0: {', '.join(f'`{of}`' for of in better) or 'none'}.",
    ]  # fmt: skip


@on("audio", "Does it work for voices it never learned from?", "strangers", "speakers",
    bench="speakers")  # fmt: skip
def _strangers():
    systems = ("mean", "PCA", "PCA fitted", "tier1", "tier1 fitted")
    words = [
        [n, *(cell("strangers", "ASR accuracy", of, None if of == "mean" else n,
                   interval=of != "mean") for of in systems)] for n in _HEARD_SIZES
    ]  # fmt: skip
    speakers = [
        [n, *(cell("speakers", "speaker identified", of, n, interval=True)
              for of in ("PCA", "tier1"))] for n in _HEARD_SIZES
    ]  # fmt: skip
    return [
        "Words of three other readers, by Whisper (ceiling "
        f"{number(score('strangers', 'ASR accuracy', 'PCA', 64)['ceiling'])}):",
        table(["floats per TR", *map(label, systems)], words),
        "Six speakers of digits, five digits an utterance: who is speaking? Chance is 0.17, "
        f"averages give {cell('speakers', 'speaker identified', 'mean')}, recordings "
        f"{cell('speakers', 'speaker identified', 'recording')}.",
        table(["floats per TR", "PCA", "tier 1"], speakers),
        "With 64 floats voices are told apart no better than by chance; from 512 on, always.",
    ]


@on("audio", "Does it work for music?", "music", bench="music")
def _music():
    kinds = [
        ("another piece", None),
        ("mean", None),
        ("PCA", 128),
        ("tier1", 128),
        ("PCA", 512),
        ("tier1", 512),
        ("round trip", None),
    ]
    metrics = {"tempo": "tempo", "beats": "beats", "three tags": "top_tags", "genre": "first_genre"}
    return [
        "Excerpts of about 15 s of four pieces, judged by what was learned from two others and "
        "from speech: share with the tempo within 4 %, F of the beats, agreement of the three "
        "likeliest tags, and of the likeliest genre. *Round trip* is the original through the "
        "vocoder, the ceiling; *another piece* is what any piece has in common, the floor.",
        table(
            ["", "floats per TR", *metrics],
            [[label(of), n or "", *(cell("music", metric, of, n, interval=True)
                                    for metric in metrics.values())] for of, n in kinds],
        ),
        "Tempo and beats come back at both sizes. Tags, most of which name instruments, do not: "
        "at 128 floats hardly more agree than with another piece.",
    ]  # fmt: skip


@on("audio", "Which vocoder?", "vocoders", bench="vocoders")
def _vocoders():
    columns = {
        "reader, STOI": ("hifi_6097", "", "stoi"), "PESQ": ("hifi_6097", "", "pesq"),
        "DNSMOS": ("hifi_6097", "", "dnsmos"), "music, STOI": ("music", "", "stoi"),
        "music, PESQ": ("music", "", "pesq"), "PCA, STOI": ("hifi_6097", "PCA, ", "stoi"),
        "PCA, DNSMOS": ("hifi_6097", "PCA, ", "dnsmos"),
    }  # fmt: skip
    speed = "seconds of sound a second of one core"
    return [
        "Both turn the same log-mel of 80 bands into sound; *PCA* is of the reader at 512 "
        "floats a TR. The last column says how many seconds of sound a second of one core gives.",
        table(
            ["vocoder", *columns, "speed"],
            [[f"`{of}`", *(cell("vocoders", metric, before + of, study=study)
                           for study, before, metric in columns.values()),
              cell("vocoders", speed, of, digits=1, study="hifi_6097")]
             for of in ("griffin_lim", "hifi_gan")],
        ),
        "Griffin-Lim is nearer to the recording, on music by far, and faster; HiFi-GAN makes the "
        "cleaner speech of a blurred log-mel. Griffin-Lim is the default, as it suits all content.",
    ]  # fmt: skip


@on("audio", "Are duplicates of the stimulus found?", "same_sound", bench="stimulus_duplicates")
def _duplicates():
    found = rows("same_sound").query("metric == 'found'")
    likest = rows("same_sound").query("metric == 'likest r'")["value"].max()
    return [
        "Other recordings that a system learns from must not hold the study's own sound. "
        f"{len(found)} copies of {found['recording'].nunique()} recordings, cut, compressed, "
        f"filtered or clipped, were looked for: {int(found['value'].sum())} were found. The "
        f"likest 6 s of two different recordings have r {number(likest)}; the limit is 0.5. A "
        "copy at another speed is not found.",
    ]
