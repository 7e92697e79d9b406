// The same call with other tools. No secret is in it: signed calls read them from the environment.

export const snippets = ({ endpoint, region, signed, source, target, threshold, filter }) => ({
	aws: `aws rekognition compare-faces \\
    --endpoint-url ${shell(endpoint)} --region ${shell(region)}${signed ? "" : " --no-sign-request"} \\
    --source-image-bytes ${shell(`fileb://${source}`)} \\
    --target-image-bytes ${shell(`fileb://${target}`)} \\
    --similarity-threshold ${threshold} --quality-filter ${filter}
`,
	boto3: `import boto3

rekognition = boto3.client(
    "rekognition",
    endpoint_url=${quoted(endpoint)},
    region_name=${quoted(region)},${signed ? "" : '\n    aws_access_key_id="any", aws_secret_access_key="any",  # the server is open'}
)
with open(${quoted(source)}, "rb") as source, open(${quoted(target)}, "rb") as target:
    answer = rekognition.compare_faces(
        SourceImage={"Bytes": source.read()},
        TargetImage={"Bytes": target.read()},
        SimilarityThreshold=${threshold},
        QualityFilter="${filter}",
    )
print([match["Similarity"] for match in answer["FaceMatches"]])
`,
	JavaScript: `import { readFile } from "node:fs/promises";
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
`,
	curl: `printf '{"SourceImage":{"Bytes":"%s"},"TargetImage":{"Bytes":"%s"},"SimilarityThreshold":${threshold},"QualityFilter":"${filter}"}' \\
    "$(base64 < ${shell(source)} | tr -d '\\n')" \\
    "$(base64 < ${shell(target)} | tr -d '\\n')" |
curl --silent --show-error ${shell(endpoint)} --data-binary @- \\${signed ? curlSigns(region) : ""}
    -H 'Content-Type: application/x-amz-json-1.1' \\
    -H 'X-Amz-Target: RekognitionService.CompareFaces'
`,
	"Python without a server": `import likeness

comparison = likeness.compare_faces(
    ${quoted(source)}, ${quoted(target)}, similarity_threshold=${threshold}, quality_filter="${filter}"
)
print([match.similarity for match in comparison.matches])
`,
});

const curlSigns = (region) => `
    --aws-sigv4 ${shell(`aws:amz:${region}:rekognition`)} --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
    \${AWS_SESSION_TOKEN:+-H "X-Amz-Security-Token: $AWS_SESSION_TOKEN"} \\`;

// A string of Python and of JavaScript.
const quoted = (text) => JSON.stringify(text);
// A word of a POSIX shell.
const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
