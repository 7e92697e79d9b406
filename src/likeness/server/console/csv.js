// CSV (RFC 4180) of which a spreadsheet reads no cell as a formula.

export const toCsv = (rows) => rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");

function cell(value) {
	if (typeof value === "number") return String(value);
	const text = /^[=+\-@\t\r]/.test(value ?? "") ? `'${value}` : String(value ?? "");
	return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
