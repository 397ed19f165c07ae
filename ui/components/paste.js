// Hands a picture pasted anywhere on the page to Python, as base64 text.
const LIMIT = 24 * 1024 * 1024;

export default function ({ parentElement, setTriggerValue }) {
  const line = parentElement.querySelector(".line");
  const onPaste = (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!file) return;
    if (file.size > LIMIT) {
      line.textContent = "That picture is larger than 24 MiB: upload it instead.";
      return;
    }
    const reader = new FileReader();
    reader.onload = () => {
      const text = String(reader.result);
      setTriggerValue("pasted", { name: file.name || "pasted.png", data: text.slice(text.indexOf(",") + 1) });
    };
    reader.readAsDataURL(file);
  };
  document.addEventListener("paste", onPaste);
  return () => document.removeEventListener("paste", onPaste);
}
