"""Loupe: `streamlit run app.py` imports this file once as a server, then runs it as the page."""

from __future__ import annotations

import streamlit as st

if __name__ == "__main__":
    from ui.frame import show

    show()
else:
    from ui.server import MIDDLEWARE, ROUTES, lifespan

    app = st.App("app.py", routes=ROUTES, middleware=MIDDLEWARE, lifespan=lifespan)
