"""The pages of judges and of cost."""

from benchmarks.pages.tables import cell, number, on, rows, score, table
from subtr.judges import JUDGES


@on("judges", "Can the judges say no?", "judges", bench="judges")
def _worse():
    of = rows("judges").set_index(["judge", "metric", "system"])["value"]
    done = {"round trip": "round trip", "each TR averaged": "averaged",
            "frames shuffled": "shuffled", "equal noise": "noise",
            "averages as original": "swapped"}  # fmt: skip
    names = list(dict.fromkeys((judge, metric) for judge, metric, _ in of.index))

    def text(judge, metric, system):
        value = of.get((judge, metric, system))
        return "" if value is None or value != value else number(value)

    return [
        "The same recordings after what must be heard as worse: each TR averaged, its frames "
        "shuffled, noise as loud as the sound, and averages taken for the original. *Round trip* "
        "is the original through the vocoder. Speech; of `beats` and tags, four pieces of music.",
        table(
            ["judge", "score", *done],
            [[f"`{judge}`", metric, *(text(judge, metric, system) for system in done.values())]
             for judge, metric in names],
        ),
        "All of it is noticed, with two exceptions: DNSMOS knows no original, so it never stands "
        "alone; and pitch is found in noise nearly as well. Where there is no word in the "
        "averages, or no original, the cell is empty.",
    ]  # fmt: skip


@on("judges", "Which judges are there?", bench="judges")
def _which():
    judges = JUDGES.parts.values()
    return [
        "`make judges` installs them by digest (400 MB) and says which can be used here; "
        "`python -m subtr.experiments.judged` says it again. What is missing is skipped with its "
        "reason. Each "
        'takes a folder or file of yours, such as `load_judge("whisper-base", weights=...)`. '
        "Notebook 08 asks them about the first `judged_s` seconds of the test block.",
        table(
            ["judge", "criterion", "package", "licence"],
            [[f"`{of.name}`", of.criterion, of.package, of.licence] for of in judges],
        ),
        "Word errors are counted after Whisper's English normaliser, of both texts. `tier1_heard` "
        "learns from `whisper-tiny.en`: judge it by the others. musicnn's weights are read without "
        "TensorFlow; the network here gives its authors' probabilities to 0.00001. `pip check` "
        "names musicnn's and resemblyzer's requirements as unmet: what is used of both does not "
        "need them.",
    ]


@on("cost", "How fast is a whole film drawn?", "film_reconstruction", bench="long_films")
def _film():
    films = rows("film_reconstruction")
    both = films[films["tracks"].str.contains(r"\+")].sort_values("film_s").iloc[-1]
    return [
        "`make reconstruct`, 854 × 480, through tier 1 of `params/smoke`, two threads of a busy "
        "machine. *Speed* is seconds of film a second.",
        table(
            ["tracks", "film, min", "speed", "peak memory, GB"],
            [[of["tracks"].replace("sound", "audio").replace("+pictures", " and video"),
              number(of["film_s"] / 60, 0), number(of["times_real_time"], 1),
              number(of["peak_gb"])] for _, of in films.iterrows()],
        ),
        "Memory hardly grows with the film. At the end of the longest one, a tone and a flash that "
        f"began together are {number(both['apart_s'])} s apart, less than a picture lasts "
        f"({number(both['picture_s'])} s). A run that was cut short goes on where it was.",
    ]  # fmt: skip


@on("cost", "How large may a study be?", "scale", bench="scale")
def _scale():
    return [
        "Ridge on shared features, a simulated study; time is of one core, memory the peak.",
        table(
            ["subjects", "parcels", "TRs", "BOLD, GB", "core time, s", "memory, GB", "r"],
            [[int(of["subjects"]), int(of["parcels"]), int(of["trs"]), number(of["bold_gb"]),
              number(of["cpu_s"], 0), number(of["peak_gb"], 1), number(of["r"])]
             for _, of in rows("scale").iterrows()],
        ),
        "Time grows in proportion to subjects. Networks with a head for each subject still hold "
        "all BOLD in memory.",
    ]  # fmt: skip


@on("cost", "How long does a system train?", "speech", "speech_encoders", "simulated_encoders",
    bench="encoders")  # fmt: skip
def _training():
    encoders = [
        of for of in rows("speech_encoders")["system"].unique() if of not in ("mean", "PCA")
    ]
    metrics = ("parameters of the stream", "training time_s")
    time_s = [score("speech", "training time_s", "tier1", n)["value"] for n in (64, 128, 256, 512)]
    return [
        "Parameters and seconds on one core, of the comparison of encoders: speech at 128 floats a "
        "TR, 300 steps; simulated BOLD at 64.",
        table(
            ["encoder", "speech, parameters", "speech, s", "BOLD, parameters", "BOLD, s"],
            [[of, *(cell("speech_encoders", metric, of, 128, 0) for metric in metrics),
              *(cell("simulated_encoders", metric, of, 64, 0) for metric in metrics)]
             for of in encoders],
        ),
        f"Tier 1 of speech trains for {number(min(time_s) / 60, 1)} to "
        f"{number(max(time_s) / 60, 1)} minutes on one core. `make cost` measures parameters, "
        "FLOPs, memory, receptive field and step time of every encoder with every aggregator on "
        "your machine.",
    ]  # fmt: skip
