"""What a scan is like, as far as it decides which rates can be recovered."""

from pydantic import Field, model_validator

from subtr.bold.hrf import DoubleGamma
from subtr.identifiability.response import response
from subtr.params import Strict

KINDS = ("wave", "power")


class Scan(Strict):
    """A scan and the parcels that respond.

    Arguments
        tr_s: repetition time in seconds.
        snr: variance of a slow drive's response over that of the noise, in one parcel and volume.
            A drive of the same variance that is faster comes out smaller, the noise does not.
        hrf_fwhm_s, hrf_peak_s: width and peak time of the response.
        n_parcels: how many parcels respond, each with its own gain and noise.
        duration_s: seconds of BOLD.
        noise_correlation: share of the noise's variance that all parcels have in common. At 0,
            parcels add up without end, which those of a brain do not.
        envelope_hz: the strength of the modulation fluctuates at all rates up to this, its power
            up to twice as fast.
        gain_spread: deviation of the logarithm of the parcels' gains.
    """

    tr_s: float = Field(default=2.0, gt=0, lt=20)
    snr: float = Field(default=0.1, ge=0)
    hrf_fwhm_s: float = Field(default=5.3, gt=0)
    n_parcels: int = Field(default=16, ge=1)
    duration_s: float = Field(default=900.0, gt=0)
    noise_correlation: float = Field(default=0.1, ge=0, lt=1)
    hrf_peak_s: float = Field(default=5.0, gt=0)
    envelope_hz: float = Field(default=0.05, gt=0)
    gain_spread: float = Field(default=0.3, ge=0)

    @model_validator(mode="after")
    def _has_a_response(self) -> "Scan":
        _ = self.response
        return self

    def __str__(self) -> str:
        """For titles and sentences."""
        return (
            f"TR {self.tr_s:g} s, SNR {self.snr:.2g}, response {self.hrf_fwhm_s:g} s wide, "
            f"{self.n_parcels} parcel{'s' * (self.n_parcels > 1)}, {self.duration_s / 60:g} min"
        )

    @property
    def response(self) -> DoubleGamma:
        """The haemodynamic response of every parcel."""
        return response(self.hrf_peak_s, self.hrf_fwhm_s)

    def having(self, **changes: float | int) -> "Scan":
        """The same scan with some values changed, checked again.

        Raises
            ValidationError: a value out of range, or no such value.
        """
        return Scan(**(self.model_dump() | changes))
