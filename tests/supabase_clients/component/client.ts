// The app's `lib/supabase/client.ts`: sessions lie in a cookie, where the server sees them too.
import { createBrowserClient } from "@supabase/ssr";

export const createClient = () => createBrowserClient(location.origin, "sb_publishable_of-the-tests");
