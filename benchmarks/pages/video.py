"""The page of video: what is kept of motion, and what is seen of it."""

from benchmarks.pages.tables import cell, gain, number, on, rows, score, table, verdict

_FILMS = {"generated": "generated film", "tears of steel": "Tears of Steel",
          "big buck bunny": "Big Buck Bunny"}  # fmt: skip


@on("video", "How much of the motion survives?", "motion", bench="motion")
def _motion():
    lines = [
        ("averaging", "mean", 6912),
        ("Lanczos", "Lanczos", 6912),
        ("PCA of the whole TR", "PCA", 64),
        *(("block PCA", "block PCA", n) for n in (1152, 1920, 3072, 4608)),
        *((f"{of} beside block PCA", of, 3072) for of in ("S3D", "I3D", "SlowFast", "TimeSformer")),
        ("two-stream beside block PCA", "two-stream, differences", 3072),
        ("flow beside block PCA", "flow", 3072),
    ]
    block = score("motion", "within-TR R²", "block PCA", 3072, study="generated")["value"]
    networks = {of: score("motion", "within-TR R²", of, 3072, study="generated")["value"]
                for of in ("S3D", "I3D", "SlowFast", "TimeSformer")}  # fmt: skip
    most = max(networks, key=networks.get)
    of = {n: score("motion", "motion end-point error", "block PCA", n, study="generated")["value"]
          for n in (1920, 3072)}  # fmt: skip
    return [
        "Motion coherence is the agreement of the optical flow of the reconstruction with that of "
        "the original: 0 for a still picture, 1 for the same motion. Pictures of 64 × 36, 8 a TR, "
        "unseen time, three seeds for what is trained. End-point error: 1 for a still picture, "
        "less is better.",
        table(
            ["", "floats per TR", *_FILMS.values(), "end-point error, generated"],
            [[text, n, *(cell("motion", "motion coherence", system, n, study=film)
                         for film in _FILMS),
              cell("motion", "motion end-point error", system, n, study="generated")]
             for text, system, n in lines],
        ),
        "A code of the whole picture must have seen each thing at each place. Components of 9 × 8 "
        "pixel blocks, shared over places, need not. Video networks beside them, in seconds of "
        f"training, add little: {most}, the best, comes to within-TR R² "
        f"{number(networks[most], 4)}, block PCA to {number(block, 4)}. Coherence flatters: the "
        f"end-point error of block PCA is {number(of[1920])} at 1920 floats and "
        f"{number(of[3072])} at 3072.",
    ]  # fmt: skip


@on("video", "Do other losses of pictures help?", "picture_losses", bench="video_losses")
def _picture_losses():
    names = {"mean": "averaging", "block PCA": "block PCA", "squared error": "squared error",
             "gradient": "and `gradient: 0.1`", "flow": "and `flow: 0.1`",
             "flow, weight 1": "and `flow: 1.0`", "perceptual": "and `perceptual: 0.01`",
             "flow, weight 1, and perceptual": "and `flow: 1.0`, `perceptual: 0.01`"}  # fmt: skip
    metrics = {"within-TR R²": 3, "motion coherence": 2, "motion end-point error": 2, "LPIPS": 3,
               "tracking success": 2}  # fmt: skip

    def change(metric, of, digits=3):
        return gain("picture_losses", f"gain in {metric}", of, digits=digits)

    tracked = rows("picture_losses").query("metric == 'gain in tracking success'")
    surely = [row["system"] for _, row in tracked.iterrows() if verdict(row) == "above 0"]
    error = cell("picture_losses", "motion end-point error", "flow", interval=True)
    return [
        "The generated film at 1920 floats a TR, S3D beside block PCA with a decoder that redraws, "
        "about a minute of training, three seeds, unseen time. Of end-point error and LPIPS less "
        "is better; LPIPS prefers averages, which are sharp where nothing moves.",
        table(
            ["trained by", *metrics],
            [[text, *(cell("picture_losses", metric, of, digits=n)
                      for metric, n in metrics.items())]
             for of, text in names.items()],
        ),
        f"`flow: 0.1` changes the end-point error by {change('motion end-point error', 'flow')}; "
        f"coherence by {change('motion coherence', 'flow')}; within-TR R² by "
        f"{change('within-TR R²', 'flow')}. It is the one worth having, though loss and score take "
        f"flow alike, and its error itself, {error}, is that of a still picture where the interval "
        "holds 1. Ten times its weight gains little more and costs within-TR R².",
        f"`perceptual` changes LPIPS, by which it learned, by {change('LPIPS', 'perceptual')}; "
        f"within-TR R² by {change('within-TR R²', 'perceptual')}. `gradient` changes the end-point "
        f"error by {change('motion end-point error', 'gradient')}; within-TR R² by "
        f"{change('within-TR R²', 'gradient')}. Losses by which objects are followed significantly "
        f"longer: {', '.join(surely) or 'none'}.",
    ]  # fmt: skip


@on("video", "What do judges see?", "video_judges", bench="video")
def _seen():
    metrics = {"frame correlation": "frame correlation", "motion coherence": "motion coherence",
               "SSIM": "ssim", "LPIPS": "lpips", "VMAF": "vmaf", "tracking": "tracking success",
               "scene": "scene accuracy", "action": "action accuracy"}  # fmt: skip
    systems = [("averaging", "averaging", None),
               *(("block PCA", "block PCA", n) for n in (1920, 3072, 4608, 6912)),
               ("original", "original", None)]  # fmt: skip

    def lines(film):
        of = [[text, n or "", *(cell("video_judges", metric, system, n, study=film)
                                for metric in metrics.values())]
              for text, system, n in systems]  # fmt: skip
        return [line for line in of if any(line[2:])]

    return [
        "A tracker follows known objects; classifiers that learned from original pictures name "
        "scene and action (chance 0.27 and 0.14). Unseen time of the generated film:",
        table(["", "floats per TR", *metrics], lines("generated")),
        "*Tears of Steel* (70 s), then *Big Buck Bunny* (30 s), all five parts of their time:",
        table(["", "floats per TR", *metrics], lines("tears of steel")),
        table(["", "floats per TR", *metrics], lines("big buck bunny")),
        "Averages keep scenes and look much like the original; what moves in them cannot be "
        "followed. A TR of 1.5 s shows too little of an action to name it, even in the original. "
        "Components of a clip are learned nine times from the rest of it for once from the other "
        "clip; the nine was chosen among five with these scores in view.",
    ]
