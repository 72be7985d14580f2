"""The stimulus on the scanner's clock: media files to log-mel, pictures, flow and speech
features.
"""
