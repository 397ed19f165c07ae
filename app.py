"""Loupe: `streamlit run app.py` imports this file once as a server, then runs it as the page."""

from __future__ import annotations

import os

# Threads that wait must sleep, not spin: several threads of this process compute at once, and spinning ones starve
# them. Counts only before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if __name__ == "__main__":
    from ui.frame import show

    show()
else:
    import streamlit as st

    from ui.server import MIDDLEWARE, ROUTES, lifespan

    app = st.App("app.py", routes=ROUTES, middleware=MIDDLEWARE, lifespan=lifespan)
