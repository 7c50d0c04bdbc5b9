"use client";
import { useState } from "react";
import { GatewayClient } from "./gateway.js";

export default function Page() {
  const [states, setStates] = useState([]);
  const [body, setBody] = useState(null);

  const generate = async () => {
    const gateway = new GatewayClient({ onState: (state) => setStates((earlier) => [...earlier, state]) });
    const { requestId } = await gateway.generate("Running Shoes", "Nike");
    gateway.subscribe(requestId, setBody);
  };

  return (
    <main>
      <h1>Shop</h1>
      <button onClick={generate}>Generate</button>
      <output data-states={states.join(" ")}>{body?.publicUrl ?? body?.status}</output>
    </main>
  );
}
