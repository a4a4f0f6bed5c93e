import { Age } from "./age.tsx";
import { record, records, text } from "./read.ts";
import type { ApiObject } from "./wire.ts";

export function Conditions({ object }: { object: ApiObject }) {
  const conditions = records(record(object["status"])["conditions"]);
  if (conditions.length === 0) return null;
  return (
    <section aria-labelledby="conditions">
      <h2 id="conditions">Conditions</h2>
      <div className="table inline">
        <table>
          <thead>
            <tr>
              <th scope="col">Condition</th>
              <th scope="col">Status</th>
              <th scope="col">Since</th>
              <th scope="col">Reason</th>
              <th scope="col">Message</th>
            </tr>
          </thead>
          <tbody>
            {conditions.map((condition) => (
              <tr key={text(condition["type"])}>
                <th scope="row">{text(condition["type"])}</th>
                <td>{text(condition["status"])}</td>
                <td>
                  <Age time={text(condition["lastTransitionTime"])} />
                </td>
                <td>{text(condition["reason"])}</td>
                <td className="wrap">{text(condition["message"])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
