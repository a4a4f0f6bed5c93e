/** Choosing a tenant or namespace: from a list where the user may see one, else by typing its name. */
import { type FormEvent, useId, useState } from "react";

export interface ChooserProps {
  label: string;
  value: string;
  /** undefined: the user may not list them. */
  options: readonly string[] | undefined;
  /** What "" means: "All namespaces". */
  empty: string;
  onChange(value: string): void;
}

export function Chooser({ label, value, options, empty, onChange }: ChooserProps) {
  const id = useId();
  if (!options)
    return (
      <TypedChooser label={label} value={value} options={undefined} empty={empty} onChange={onChange} key={value} />
    );
  const all = value === "" || options.includes(value) ? options : [value, ...options];
  return (
    <span className="chooser">
      <label htmlFor={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">{empty}</option>
        {all.map((option) => (
          <option key={option}>{option}</option>
        ))}
      </select>
    </span>
  );
}

function TypedChooser({ label, value, empty, onChange }: ChooserProps) {
  const id = useId();
  const [text, setText] = useState(value);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onChange(text.trim());
  };
  return (
    <form className="chooser" onSubmit={submit}>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        value={text}
        placeholder={empty}
        onChange={(event) => setText(event.target.value)}
        onBlur={submit}
        size={14}
        pattern="[a-z0-9]([-a-z0-9]*[a-z0-9])?"
      />
    </form>
  );
}
