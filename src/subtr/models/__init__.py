"""Networks put together from encoders, aggregators and decoders; and linear baselines."""
