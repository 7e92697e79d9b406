// The same call with other tools. Secrets are never in it: signed calls read them from the environment.

/** [{name, text}] of {endpoint, region, signed, source, target, threshold, filter}; photos are file names. */
export const snippets = (call) => [
	{ name: "aws", text: aws(call) },
	{ name: "boto3", text: boto3(call) },
	{ name: "JavaScript", text: javascript(call) },
	{ name: "curl", text: curl(call) },
	{ name: "Python without a server", text: python(call) },
];

const aws = ({ endpoint, region, signed, source, target, threshold, filter }) =>
	`aws rekognition compare-faces \\
    --endpoint-url ${shell(endpoint)} --region ${shell(region)}${signed ? "" : " --no-sign-request"} \\
    --source-image-bytes ${shell(`fileb://${source}`)} \\
    --target-image-bytes ${shell(`fileb://${target}`)} \\
    --similarity-threshold ${threshold} --quality-filter ${filter}
`;

const boto3 = ({ endpoint, region, signed, source, target, threshold, filter }) => `import boto3
${signed ? "" : "from botocore import UNSIGNED\nfrom botocore.config import Config\n"}
rekognition = boto3.client(
    "rekognition",
    endpoint_url=${quoted(endpoint)},
    region_name=${quoted(region)},${signed ? "" : "\n    config=Config(signature_version=UNSIGNED),"}
)
with open(${quoted(source)}, "rb") as source, open(${quoted(target)}, "rb") as target:
    answer = rekognition.compare_faces(
        SourceImage={"Bytes": source.read()},
        TargetImage={"Bytes": target.read()},
        SimilarityThreshold=${threshold},
        QualityFilter="${filter}",
    )
print([match["Similarity"] for match in answer["FaceMatches"]])
`;

const javascript = ({ endpoint, region, signed, source, target, threshold, filter }) => `import { readFile } from "node:fs/promises";
import { CompareFacesCommand, RekognitionClient } from "@aws-sdk/client-rekognition";

const client = new RekognitionClient({
  endpoint: ${quoted(endpoint)},
  region: ${quoted(region)},${signed ? "" : '\n  credentials: { accessKeyId: "any", secretAccessKey: "any" }, // the server is open'}
});
const answer = await client.send(
  new CompareFacesCommand({
    SourceImage: { Bytes: await readFile(${quoted(source)}) },
    TargetImage: { Bytes: await readFile(${quoted(target)}) },
    SimilarityThreshold: ${threshold},
    QualityFilter: "${filter}",
  }),
);
console.log(answer.FaceMatches.map((match) => match.Similarity));
`;

function curl({ endpoint, region, signed, source, target, threshold, filter }) {
	const photo = (name) => `"$(base64 < ${shell(name)} | tr -d '\\n')"`;
	const sign = `
    --aws-sigv4 ${shell(`aws:amz:${region}:rekognition`)} --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
    \${AWS_SESSION_TOKEN:+-H "X-Amz-Security-Token: $AWS_SESSION_TOKEN"} \\`;
	const rest = `"SimilarityThreshold":${threshold},"QualityFilter":"${filter}"`;
	return `printf '{"SourceImage":{"Bytes":"%s"},"TargetImage":{"Bytes":"%s"},${rest}}' \\
    ${photo(source)} \\
    ${photo(target)} |
curl --silent --show-error ${shell(endpoint)} --data-binary @- \\${signed ? sign : ""}
    -H 'Content-Type: application/x-amz-json-1.1' \\
    -H 'X-Amz-Target: RekognitionService.CompareFaces'
`;
}

const python = ({ source, target, threshold, filter }) => `import likeness

comparison = likeness.compare_faces(
    ${quoted(source)}, ${quoted(target)}, similarity_threshold=${threshold}, quality_filter="${filter}"
)
print([match.similarity for match in comparison.matches])
`;

/** A string of Python and of JavaScript. */
const quoted = (text) => JSON.stringify(text);
/** A word of a POSIX shell. */
const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
