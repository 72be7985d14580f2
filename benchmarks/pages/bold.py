"""The page of BOLD: what time within the TR predicts, in simulations and in real data."""

from benchmarks.pages.tables import (
    cell,
    difference,
    gain,
    label,
    number,
    on,
    picture,
    rows,
    score,
    table,
)

_CLASSES = {"mean": "mean level", "rate 2 Hz": "2 Hz", "rate 4 Hz": "4 Hz", "rate 8 Hz": "8 Hz",
            "order": "order", "onset": "onsets", "motion": "motion"}  # fmt: skip
_FEATURES = ("sound power", "onset flux", "mean mel", "word rate")
_FITTED = {"a weight for each lag": "ridge", "canonical response": "canonical ridge"}


def _by_class(name: str, systems: dict[str, str], floats=None, classes=tuple(_CLASSES)) -> str:
    """A table of r / ceiling by what parcels are tuned to."""
    return table(
        ["", *(_CLASSES[of] for of in classes)],
        [[text, *(cell(name, "r / ceiling", system, floats, group=of) for of in classes)]
         for text, system in systems.items()],
    )  # fmt: skip


@on("bold", "What comes back where the truth is known?", "simulated", bench="simulated_bold")
def _known_truth():
    systems = {"averaging": "averaging", "ridge, mean mel": "ridge, mean mel",
               "ridge, sound power": "ridge, sound power",
               "ridge, onset flux": "ridge, onset flux", "tier 1": "tier1"}  # fmt: skip
    return [
        "**Simulated BOLD.** 40 minutes of generated film that no setting was chosen on, four "
        "subjects. Each class of parcels is driven by one thing. Score: r with held-out BOLD as a "
        "share of the noise ceiling.",
        picture("simulated", "Simulated BOLD by class of parcels"),
        _by_class("simulated", systems),
        "Averages predict the class that the mean level drives, and no other. Tier 1 reads audio "
        "alone, so motion is out of its reach; `system_joint.yaml` sees pictures too. Twelve "
        "minutes of film, as in `params/smoke`, are too few to learn what an onset is.",
    ]


@on("bold", "Which encoder?", "simulated_encoders", bench="encoders")
def _encoders():
    systems = {of: of for of in rows("simulated_encoders")["system"].unique()}
    return [
        "**Simulated BOLD.** Twenty minutes of another film, 64 floats a TR, equally many "
        "parameters (within a fifth), the same training, three seeds, aggregator `kernels`. Share "
        "of the noise ceiling:",
        _by_class("simulated_encoders", systems, 64, tuple(_CLASSES)[:-1]),
        picture("simulated_encoders", "Share of the noise ceiling by encoder and class"),
        "Convolutions of every kind learn modulation from minutes of BOLD; attention over single "
        "frames does not get far.",
    ]


@on("bold", "Which aggregator?", "simulated_aggregators", bench="encoders")
def _aggregators():
    r = rows("simulated_aggregators").query("metric == 'r / ceiling' and group == ''")
    ranked = list(r.sort_values("value", ascending=False)["system"])
    systems = {f"`{of}`": of for of in ranked}
    return [
        "**Simulated BOLD.** The same film and training, behind the multi-scale encoder, best on "
        "all parcels first. Share of the noise ceiling:",
        _by_class("simulated_aggregators", systems, 64, tuple(_CLASSES)[:-1]),
        picture("simulated_aggregators", "Share of the noise ceiling by aggregator and class"),
        "What happens *when* within the TR (the column *order*) comes through signed kernels, "
        "convolutions and linear maps of all frames. Means, attention pooling and kernels of each "
        "parcel keep almost none of it.",
    ]


@on("bold", "Is the response estimated well?", "haemodynamics", "deconvolution",
    bench="haemodynamics")  # fmt: skip
def _response():
    peaks = rows("haemodynamics")
    peaks = peaks.assign(error=(peaks["found_s"] - peaks["peak_s"]).abs())
    of = peaks.groupby(["fit", "response", "tr_s"])["error"].agg(["median", "max"])
    r = rows("deconvolution").groupby(["activity", "snr", "method"])["r"].mean().unstack("method")
    return [
        "**Simulated BOLD.** Error of the estimated peak of the response, in seconds, at SNR 1:",
        table(
            ["fit", "response", "TR, s", "median error, s", "largest error, s"],
            [[*key, number(row["median"]), number(row["max"])] for key, row in of.iterrows()],
        ),
        picture("haemodynamics", "Estimated against true peaks of the response"),
        "Deconvolution (`make bench WHAT=deconvolution`): r of the recovered with the true "
        "activity, when the response is assumed to peak at 5 s and peaks at 4, 5 or 7 s:",
        table(
            ["activity", "SNR", *r.columns],
            [[*key, *(number(value) for value in row)] for key, row in r.iterrows()],
        ),
        "Sparse deconvolution pays for brief events with little noise, where the response is "
        "right; else Wiener deconvolution or a plain shift does as well or better.",
    ]


@on("bold", "Does pre-training on the stimulus help?", "pretraining", bench="pretraining")
def _pretraining():
    lines = []
    for study in ("simulated", "alice"):
        for share in ("10%", "30%", "100%"):
            systems = (f"tier1, {share} labelled", f"tier1, pre-trained, {share} labelled")
            lines.append(
                [study, share, *(cell("pretraining", "r", of, study=study) for of in systems),
                 difference("pretraining", "gain in r, mean of seeds",
                            f"pre-training, {share} labelled", study=study)]
            )  # fmt: skip
    helped = sum(line[-1].startswith("**") and "−" not in line[-1] for line in lines)
    return [
        "An encoder first learns to draw masked patches of the stimulus, then BOLD of a fraction "
        "of the training time (*labelled*). Held-out r; *Alice*: three of five blocks.",
        table(["study", "labelled", "from scratch", "pre-trained", "difference"], lines),
        f"It helps in {helped} of {len(lines)} cases (bold: 0 lies outside of the interval).",
    ]


@on("bold", "Does audio within the TR predict a story's BOLD?", "alice", bench="alice")
def _alice():
    top = cell("alice", "split-half ceiling", "listeners")
    learned = ("kernels", "multiscale", "lanczos", "mean", "conv", "linear", "attention",
               "chosen by nested blocks", "tier1", "averaging")  # fmt: skip
    named = {"tier1": "tier 1, story alone", "averaging": "averaging, story alone"}
    single = cell("alice", "inter-subject ceiling", "listeners")
    mixed = cell("alice", "r, frames shuffled", "multiscale")
    return [
        "**Real BOLD**: *Alice*, the mean of 27 listeners, six regions, TR 2 s, held-out r, "
        f"ceiling {top}, motion regressed out. The silence before the story is shown to models and "
        "baselines, as BOLD rises steeply when it ends. Features of each TR by ridge, with a "
        "weight for each lag and behind the canonical response:",
        table(
            ["", *_FEATURES, "word rate, supplied"],
            [[text, *(cell("alice", "r", f"{kind}, {of}", interval=True) for of in _FEATURES),
              cell("alice", "r", f"{kind}, word rate (supplied)", interval=True)]
             for text, kind in _FITTED.items()],
        ),
        "Learned from audio: a multi-scale encoder with each aggregator, trained on a generated "
        "film with simulated BOLD, and a ridge readout for the story, three seeds; last, what the "
        "story alone teaches. *r, single* is for single listeners, whose ceiling is "
        f"{single}.",
        table(
            ["aggregator", "r", "r, frames shuffled", "r, single"],
            [[named.get(of, of), cell("alice", "r", of, interval=True),
              *(cell("alice", f"r, {how}", of) for how in ("frames shuffled", "single subjects"))]
             for of in learned],
        ),
        "Differences in r of `multiscale`, which did best on the film, over each baseline, seed by "
        "seed, on the same volumes (bold: 0 lies outside of the interval):",
        table(
            ["over", *_FEATURES],
            [[text, *(difference("alice", f"gain in r over {kind}, {of}", "multiscale")
                      for of in _FEATURES)] for text, kind in _FITTED.items()],
        ),
        "Over the mean of its own latents it gains "
        f"{gain('alice', 'gain in r over mean', 'multiscale')}; over the supplied word rate "
        f"{gain('alice', 'gain in r over ridge, word rate (supplied)', 'multiscale')}. With frames "
        f"shuffled within the TR it falls to {mixed}. Choosing among the aggregators by nested "
        "blocks gives "
        f"{cell('alice', 'r', 'chosen by nested blocks')}: minutes of BOLD cannot tell them apart.",
        picture("alice", "Alice by region"),
        "What remains in doubt: six slow regions; audio is resynthesised at the real word times, "
        "not the reading that was heard; drift is a parabola of the training time, extrapolated "
        "over the test blocks. An anti-aliased feature of each TR is the right baseline for a "
        "claim about time within it, and counts of words are not that.",
    ]  # fmt: skip


@on("bold", "Do exact onsets predict a film's BOLD?", "sherlock", bench="sherlock")
def _sherlock():
    systems = {
        "who speaks": "speaking", "whole TRs": "whole TRs", "TR means of onsets": "TR means",
        "frames within the TR": "sub-TR onsets", "TR means, −4 to +3 TRs": "TR means, context",
        "frames, −4 to +3 TRs": "sub-TR onsets, context",
        "exact onsets through the response": "sub-TR onsets through the HRF",
    }  # fmt: skip
    r = {of: score("sherlock", "r", f"ridge, {of}") for of in systems.values()}

    def over(system, baseline):
        return gain("sherlock", f"gain in r over ridge, {baseline}", f"ridge, {system}", digits=3)

    return [
        "**Real BOLD**: *Sherlock*, the mean of 17 viewers, six regions, TR 1.5 s, held-out r from "
        "the 1000 annotated segments by ridge, ceiling "
        f"{number(r['whole TRs']['ceiling'])}.",
        table(
            ["features", "columns", "r"],
            [[text, number(r[of]["floats_per_tr"], 0),
              cell("sherlock", "r", f"ridge, {of}", interval=True)]
             for text, of in systems.items()],
        ),
        f"Exact onsets instead of whole TRs: {over('TR means', 'whole TRs')}. Their order within "
        f"the TR: {over('sub-TR onsets', 'TR means')}; with more TRs, "
        f"{over('sub-TR onsets, context', 'TR means, context')}.",
        "The last line tells a response from none, not fine steps from coarse: its coarse twin "
        "is not in this table. The BOLD was shifted by its authors; shifting it once more costs "
        f"{over('TR means', 'TR means, shifted twice')}, so that is refused with an explanation.",
    ]  # fmt: skip


@on("bold", "Do subjects help each other?", "subjects", bench="subjects")
def _subjects():
    systems = {
        "one trunk for all": "joint", "a network for each": "separate",
        "a network for each, four times the steps": "separate, fourfold budget",
        "left out, new head": "left out, new head",
        "not left out, the same kind of head": "joint, closed-form head",
        "left out, the others' head": "left out, shared head",
        "left out, aligned to the others": "left out, aligned",
    }  # fmt: skip
    return [
        "**Simulated BOLD** of four subjects, 20 minutes of film, three seeds; ceiling of a single "
        f"subject {number(score('subjects', 'r', 'joint')['ceiling'])}.",
        table(["", "r"], [[text, cell("subjects", "r", of, interval=True)]
                          for text, of in systems.items()]),
        "One trunk for all reaches in the same number of steps what a network for each reaches in "
        "four times as many. A new subject with a head of their own is predicted as well as one "
        "whom the trunk has met.",
    ]  # fmt: skip


@on("bold", "Which segment was it?", "identification", bench="identification")
def _identification():
    metric = "identification (pairwise)"
    studies = ("simulated", "alice")
    named = rows("identification").query("metric == @metric and group == ''")
    systems = list(dict.fromkeys(named["system"]))
    back = f"from BOLD: {metric}"
    return [
        "15 s of BOLD against all others, share of pairs told right; chance 0.50, three seeds for "
        "what is trained. First by predicting BOLD from the stimulus:",
        table(
            ["", "simulated", "Alice"],
            [[label(of), *(cell("identification", metric, of, study=study, interval=True)
                           for study in studies)] for of in systems],
        ),
        "Then by decoding the audio's vector from BOLD:",
        table(
            ["decoded", "simulated", "Alice"],
            [[text, *(cell("identification", back, of, study=study, interval=True)
                      for study in studies)]
             for text, of in {"components of PCA": "PCA", "vector of tier 1": "learned"}.items()],
        ),
        "Segments can be told apart from BOLD; intelligible speech has not been decoded from it.",
    ]  # fmt: skip


@on("bold", "Do intervals and nulls hold what they say?", "ceilings", bench="ceilings")
def _calibration():
    counted = rows("ceilings")
    covered = counted[counted["measure"] == "coverage"]
    null = counted[counted["measure"] == "share of p <= 0.05"]
    return [
        "Coverage: the share of simulated data sets whose 95 % interval of the ceiling holds the "
        "truth.",
        table(
            ["interval", "subjects", "SNR", "data sets", "coverage"],
            [[of["kind"], int(of["n_subjects"]), number(of["snr"], 1), int(of["n_sets"]),
              number(of["value"], 3)] for _, of in covered.iterrows()],
        ),
        "Under the null, p ≤ 0.05 should occur in 5 % of data sets:",
        table(
            ["null", "data sets", "share of p ≤ 0.05"],
            [[of["kind"], int(of["n_sets"]), number(of["value"], 3)] for _, of in null.iterrows()],
        ),
        "The project uses intervals without each subject and circular shifts. Drawing subjects "
        "again is too narrow for the inter-subject ceiling, and shuffled TRs are no valid null.",
    ]  # fmt: skip
