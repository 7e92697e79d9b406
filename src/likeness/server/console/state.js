// The page's state, which ends with the page.

export const state = {
	about: null, // the server's settings
	promise: null, // and of similarities
	keys: null, // who signed in
	region: "",
	threshold: 80,
	filter: "NONE",
	photos: {}, // by side
};
