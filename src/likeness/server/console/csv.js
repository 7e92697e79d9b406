// CSV (RFC 4180) without cells that a spreadsheet reads as formulas.

export const toCsv = (rows) => rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");

function cell(value) {
	if (typeof value === "number") return String(value);
	const text = /^[=+\-@\t\r]/.test(value ?? "") ? `'${value}` : String(value ?? "");
	return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
