"""A real Next.js app in front of the gateway, with the rewrites of the page about deploying.

Next.js and the built app lie in `.nextjs/` (or `NEXTJS_FOLDER`), made when the tests first ask for them.
"""
