"""From a text to the squares of its QR code. The one door to the qrcode library."""

from __future__ import annotations

import qrcode

from kiosk.screens.pages import Squares


def squares(text: str) -> Squares:
    """Return the smallest QR code that holds a text, with error correction M; takes some milliseconds, so not on the loop.

    Capitals and digits are packed more tightly than the rest (ISO/IEC 18004, alphanumeric mode).
    """
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=0)
    code.add_data(text, optimize=20)
    code.make(fit=True)
    return Squares(tuple(tuple(map(bool, row)) for row in code.get_matrix()))
